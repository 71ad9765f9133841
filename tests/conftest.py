"""Every test knows its kind by its folder."""

import gc
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx._transports.default
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from lab import busy, tls

_HERE = Path(__file__).parent
_ORDER = ("unit", "cloud", "docker", "timed", "browser")
"""The quick ones first; browsers last, for their driver keeps an event loop running."""
_PATIENT: dict[str, Any] = {"suppress_health_check": [HealthCheck.too_slow]}
"""A machine that stops is slow at drawing examples, too."""


settings.register_profile(
    "quick", max_examples=20, derandomize=True, database=None, deadline=None, **_PATIENT
)
settings.register_profile(
    "thorough",
    max_examples=100,
    derandomize=False,
    database=DirectoryBasedExampleDatabase(".hypothesis/examples"),
    deadline=None,
    print_blob=True,
    **_PATIENT,
)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("hypothesis_profile") is None:
        settings.load_profile("quick")
    # A shell ignores Ctrl-C for what it starts in the background, and some tests press it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Tests run beside each other: each other's work is neither judged nor waited for.
    os.environ.setdefault(busy.VARIABLE, "ignore")
    _trust_once()


def _trust_once() -> None:
    """What tests ask by ``httpx`` themselves needs no certificates, read anew for 50 ms of CPU."""
    transports: Any = httpx._transports.default
    anew = transports.create_ssl_context

    def known(verify: Any, cert: Any = None, **more: Any) -> Any:
        return tls.context() if verify is True and cert is None else anew(verify, cert, **more)

    transports.create_ssl_context = known


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder for sockets, whose paths must not exceed 107 bytes: pytest's own are long."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        kind = _kind(item)
        if kind in {"docker", "browser"}:
            item.add_marker(kind)
    items.sort(key=lambda item: _ORDER.index(_kind(item)))


def pytest_collection_finish() -> None:
    # All that was imported stays to the end: no need to go through it again and again, and once
    # more before every cold start that is measured.
    gc.collect()
    gc.freeze()


def _kind(item: pytest.Item) -> str:
    return item.path.relative_to(_HERE).parts[0]
