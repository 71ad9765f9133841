"""Hand-made contents and recordings for the tests of this folder."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lab.advice.contents import ContentLayer, Contents, Entry, EntryKind
from lab.advice.recording import FileRead, Recording, Stage
from lab.images.layers.packages import Package
from lab.spec import Platform

FOLDER: Package = ("", "/")


def file(
    path: str, size: int = 10, package: Package = FOLDER, *, mode: int = 0o644, twin_of: str = ""
) -> Entry:
    return Entry(
        path=path,
        kind=EntryKind.FILE,
        size=0 if twin_of else size,
        compressed=0 if twin_of else size // 2,
        layer=1,
        mode=mode,
        package=package,
        target=twin_of,
    )


def link(path: str, target: str, package: Package = FOLDER) -> Entry:
    return Entry(
        path=path,
        kind=EntryKind.LINK,
        size=0,
        compressed=0,
        layer=1,
        mode=0o777,
        package=package,
        target=target,
    )


def folder(path: str, package: Package = FOLDER) -> Entry:
    return Entry(
        path=path,
        kind=EntryKind.FOLDER,
        size=0,
        compressed=0,
        layer=1,
        mode=0o755,
        package=package,
    )


def contents(
    *entries: Entry,
    depends: Mapping[Package, Sequence[Package]] | None = None,
    config: Mapping[str, Any] | None = None,
) -> Contents:
    """With every folder on the way to an entry."""
    named = {one.path: one for one in entries}
    for path in list(named):
        at = path.rfind("/")
        while at > 0:
            named.setdefault(path[:at], folder(path[:at]))
            at = path.rfind("/", 0, at)
    unpacked = sum(one.size for one in entries)
    return Contents(
        image="some:image",
        image_id="sha256:" + "1" * 64,
        config={"created": "2026-01-02T03:04:05Z", "config": dict(config or {})},
        layers=[
            ContentLayer(
                number=1,
                command="COPY",
                unpacked_bytes=unpacked,
                compressed_bytes=unpacked // 2,
                compressed_known=False,
                hidden=(),
            )
        ],
        entries=dict(sorted(named.items())),
        depends=dict(depends or {}),
    )


def recording(touched: Iterable[str], missed: Sequence[str] = ()) -> Recording:
    return Recording(
        image="some:image",
        image_id="sha256:" + "1" * 64,
        platform=Platform.AMD64,
        emulated=False,
        lab_version="0",
        recorded_at="2026-01-02T03:04:05Z",
        views=["calls"],
        files=[FileRead(path=path, first=Stage.READY, opened=True) for path in sorted(touched)],
        missed=missed,
        answers=[],
    )
