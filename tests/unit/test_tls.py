import ast
import ssl
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

from lab import tls

LAB = Path(tls.__file__).parent
ASKS = {"Client", "AsyncClient", "get", "post", "put", "head", "request", "stream"}


@pytest.fixture(autouse=True)
def not_yet_read() -> Iterator[None]:
    tls.context.cache_clear()
    yield
    tls.context.cache_clear()


def test_certificates_are_read_once() -> None:
    assert tls.context() is tls.context()
    assert tls.context().verify_mode is ssl.CERT_REQUIRED


def test_the_user_s_own_authorities_are_trusted_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, *rest = Path(certifi.where()).read_text().partition("-----BEGIN CERTIFICATE-----")
    first, end, _ = "".join(rest).partition("-----END CERTIFICATE-----")
    own = tmp_path / "own.pem"
    own.write_text(first + end)
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    assert len(tls.context().get_ca_certs()) == 1


def test_every_client_of_the_lab_is_given_them() -> None:
    calls = [
        (path, call)
        for path in LAB.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and _asks(call.func)
    ]
    assert len(calls) > 5
    without = [
        f"{path.relative_to(LAB)}:{call.lineno}"
        for path, call in calls
        if "verify" not in {given.arg for given in call.keywords}
    ]
    assert without == []


def _asks(called: ast.expr) -> bool:
    return (
        isinstance(called, ast.Attribute)
        and isinstance(called.value, ast.Name)
        and called.value.id == "httpx"
        and called.attr in ASKS
    )
