"""An image of which exactly three files are read, and a program that records it and is stopped.

``/start`` is a script whose interpreter is a script whose interpreter is the floor: the kernel
opens all three, and only the first by a call.
"""

import io
import os
import signal
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.advice.contents import Contents, Entry, EntryKind
from lab.advice.recorder.asking import Payload
from lab.advice.recorder.record import RecordRequest, record
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.owned import of_this_process
from lab.engine.select import open_docker
from lab.progress import Silent
from lab.spec import LABEL_PROCESS
from tests.docker import known

READ = ("/bin/middle", "/serve", "/start")
LINKS = {"/path/server": "../start", "/path/unused": "gone"}
FOLDERS = ("/bin", "/path")
UNREAD = ("/bin/unread", "/etc/unread")
PAYLOAD = Payload(name="one.json", body=b"{}", content_type="application/json")


def make(engine: DockerEngine, floor: str, name: str, *, salt: str = "") -> str:
    """The image's name. ``salt`` makes it another one."""
    content = {
        "serve": program(engine, floor),
        "start": b"#!/bin/middle\n",
        "bin/middle": b"#! /serve -x\n",
        "bin/unread": b"\x01" * 300_000,
        "etc/unread": salt.encode(),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, data in content.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(data), 0o755
            tar.addfile(member, io.BytesIO(data))
        for path, target in LINKS.items():
            link = tarfile.TarInfo(path[1:])
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
    engine.client.import_image_from_data(
        packed.getvalue(),
        repository=known.REPOSITORY,
        tag=name,
        changes=["ENV PATH=/nowhere:/path", 'ENTRYPOINT ["server"]', "EXPOSE 8080"],
    )
    return f"{known.REPOSITORY}:{name}"


def program(engine: DockerEngine, floor: str) -> bytes:
    container = engine.client.create_container(floor)["Id"]
    try:
        stream, _ = engine.client.get_archive(container, "/serve")
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
            file = tar.extractfile("serve")
            assert file is not None
            return file.read()
    finally:
        engine.client.remove_container(container)


def contents(image: str) -> Contents:
    """As it is made above."""

    def entry(path: str, kind: EntryKind, target: str = "") -> Entry:
        return Entry(
            path=path,
            kind=kind,
            size=0,
            compressed=0,
            layer=1,
            mode=0o755,
            package=("", "/"),
            target=target,
        )

    entries = [entry(path, EntryKind.FILE) for path in (*READ, *UNREAD)]
    entries += [entry(path, EntryKind.FOLDER) for path in (*FOLDERS, "/etc")]
    entries += [entry(path, EntryKind.LINK, target) for path, target in LINKS.items()]
    return Contents(
        image=image,
        image_id="",
        config={},
        layers=[],
        entries={one.path: one for one in sorted(entries, key=lambda one: one.path)},
    )


class _Stopping(Silent):
    """Stops its own process as a step begins, or in the middle of the last."""

    def __init__(self, at: str, number: int) -> None:
        super().__init__()
        self._at, self._number = at, number

    @contextmanager
    def step(self, title: str) -> Iterator["_Stopping"]:
        if title.startswith(self._at):
            os.kill(os.getpid(), self._number)
        yield self


def main(image: str, at: str, number: int) -> None:
    """Record it, and be stopped by a signal at the step whose title begins so."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(of_this_process()[LABEL_PROCESS], flush=True)  # noqa: T201 - to the test
    engine = open_docker(Silent())
    request = RecordRequest(image=image, contents=contents(image), payloads=[PAYLOAD])
    record(engine, request, _Stopping(at, number))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
