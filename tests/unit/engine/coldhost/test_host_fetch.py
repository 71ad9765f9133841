"""The program that runs in a cold host, on a real HTTP server and real archives."""

import functools
import hashlib
import http.server
import importlib.util
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lab.paths import SERVICES


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fetch", SERVICES / "coldhost" / "fetch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def ask(
    program: ModuleType, served: tuple[Path, str], content: bytes, into: Path, sha256: str = ""
) -> dict[str, Any]:
    folder, url = served
    (folder / "blob").write_bytes(content)
    request = {
        "url": f"{url}/blob",
        "sha256": sha256 or hashlib.sha256(content).hexdigest(),
        "into": str(into),
    }
    out = io.StringIO()
    program.serve([json.dumps(request)], out)
    ready, answer = (json.loads(line) for line in out.getvalue().splitlines())
    assert ready == {"ready": True}
    return dict(answer)


def test_an_archive_is_checked_and_unpacked(
    program: ModuleType, served: tuple[Path, str], tmp_path: Path
) -> None:
    content = archive((tarfile.TarInfo("model.json"), b"{}"), (tarfile.TarInfo("a/b"), b"weights"))

    answer = ask(program, served, content, tmp_path / "model")

    assert answer["bytes"] == len(content)
    assert answer["begin_ns"] < answer["end_ns"]
    assert (tmp_path / "model" / "a" / "b").read_bytes() == b"weights"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model", "served"]


def test_another_digest_is_refused_and_leaves_nothing(
    program: ModuleType, served: tuple[Path, str], tmp_path: Path
) -> None:
    content = archive((tarfile.TarInfo("model.json"), b"{}"))

    answer = ask(program, served, content, tmp_path / "model", sha256="0" * 64)

    assert answer["kind"] == "archive"
    assert "instead of 000" in answer["error"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["served"]


def _device() -> tarfile.TarInfo:
    info = tarfile.TarInfo("disk")
    info.type = tarfile.BLKTYPE
    return info


def _link_outside() -> tarfile.TarInfo:
    info = tarfile.TarInfo("out")
    info.type = tarfile.SYMTYPE
    info.linkname = "../../etc"
    return info


@pytest.mark.parametrize(
    "hostile",
    [tarfile.TarInfo("../escaped"), _link_outside(), _device()],
    ids=["path traversal", "link outside", "device"],
)
def test_a_hostile_archive_is_refused(
    program: ModuleType, served: tuple[Path, str], tmp_path: Path, hostile: tarfile.TarInfo
) -> None:
    answer = ask(program, served, archive((hostile, b"")), tmp_path / "in" / "model")

    assert answer["kind"] == "archive"
    assert list((tmp_path / "in").iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"not an archive", archive((tarfile.TarInfo("x"), b"y" * 9999))[:-20]],
    ids=["no archive", "cut short"],
)
def test_a_corrupt_archive_is_refused(
    program: ModuleType, served: tuple[Path, str], tmp_path: Path, content: bytes
) -> None:
    assert ask(program, served, content, tmp_path / "model")["kind"] == "archive"


def test_a_missing_blob_is_the_registrys_fault(
    program: ModuleType, served: tuple[Path, str], tmp_path: Path
) -> None:
    _, url = served
    asked = json.dumps({"url": f"{url}/gone", "sha256": "0", "into": str(tmp_path / "model")})

    answer = program.answer(asked)

    assert answer["kind"] == "registry"
    assert "404" in answer["error"]


def test_a_registry_that_does_not_answer_is_said_so(program: ModuleType, tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/blob"

    answer = program.answer(json.dumps({"url": url, "sha256": "0", "into": str(tmp_path / "m")}))

    assert answer["kind"] == "registry"
    assert url in answer["error"]


def test_a_folder_that_is_there_already_is_left_alone(
    program: ModuleType, served: tuple[Path, str], tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").touch()

    answer = ask(program, served, archive((tarfile.TarInfo("a"), b"")), tmp_path / "model")

    assert "exists" in answer["error"]
    assert (tmp_path / "model" / "mine").exists()
