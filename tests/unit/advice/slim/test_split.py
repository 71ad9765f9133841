"""An export, parted: what is in either half, to the byte."""

import hashlib
import io
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from lab.advice.contents import Entry
from lab.advice.slim.split import Content, Layer, Parting
from tests.unit.advice.slim.elves import elf
from tests.unit.advice.slim.images import file, folder, link

CAPABILITY = "SCHILY.xattr.security.capability"
RAW = b"\x01\x00\x00\x02\x00\x20\xff\x80".decode("utf-8", "surrogateescape")
ODD = b"odd/\xff\xfename".decode("utf-8", "surrogateescape")


def member(
    name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields: object
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mtime = kind, len(content), 1_700_000_000
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def export(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


class Halves:
    def __init__(
        self,
        exported: bytes,
        entries: Sequence[Entry],
        kept: Sequence[str],
        placed: dict[str, tuple[tarfile.TarInfo, bytes]] | None = None,
        files: dict[str, bytes] | None = None,
        strippable: Sequence[str] = (),
    ) -> None:
        self.fetched: list[str] = []

        @contextmanager
        def fetch(path: str) -> Iterator[Content]:
            self.fetched.append(path)
            info, content = member(path.rpartition("/")[2], content=(files or {})[path], mode=0o640)
            yield info, io.BytesIO(content)

        self.kept_file, self.removed_file = io.BytesIO(), io.BytesIO()
        kept_layer, removed_layer = Layer(self.kept_file), Layer(self.removed_file)
        parting = Parting(
            entries={one.path: one for one in entries},
            kept=set(kept),
            placed=placed or {},
            stamp=1_600_000_000,
            fetch=fetch,
            strippable=set(strippable),
        )
        self.stripped = parting.stripped
        with tarfile.open(fileobj=io.BytesIO(exported), mode="r|") as source:
            parting.run(source, kept_layer, removed_layer)
        self.diff_id = kept_layer.diff_id

    def kept(self) -> dict[str, tarfile.TarInfo]:
        return self._members(self.kept_file)

    def removed(self) -> dict[str, tarfile.TarInfo]:
        return self._members(self.removed_file)

    def content(self, name: str, *, removed: bool = False) -> bytes:
        file = self.removed_file if removed else self.kept_file
        file.seek(0)
        with tarfile.open(fileobj=file) as tar:
            found = tar.extractfile(name)
            assert found is not None
            return found.read()

    @staticmethod
    def _members(data: io.BytesIO) -> dict[str, tarfile.TarInfo]:
        data.seek(0)
        with tarfile.open(fileobj=data) as tar:
            return {one.name: one for one in tar.getmembers()}


def test_each_member_goes_to_one_half_with_its_header_as_it_was() -> None:
    exported = export(
        member("etc", tarfile.DIRTYPE, mode=0o755),
        member("etc/passwd", content=b"root", mode=0o640, uid=7, gid=8),
        member("usr/big", content=b"x" * 1000),
        member("usr/cap", content=b"y", pax_headers={CAPABILITY: RAW}),
        member(ODD, content=b"z"),
        member("dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
        member("pipe", tarfile.FIFOTYPE),
        member("bin", tarfile.SYMTYPE, linkname="usr/bin"),
    )
    entries = [
        folder("/etc"),
        *map(file, ("/etc/passwd", "/usr/big", "/usr/cap", f"/{ODD}", "/dev/null", "/pipe")),
        link("/bin", "usr/bin"),
    ]
    found = Halves(exported, entries, [one.path for one in entries if one.path != "/usr/big"])
    kept = found.kept()
    assert set(kept) == {"etc", "etc/passwd", "usr/cap", ODD, "dev/null", "pipe", "bin"}
    assert set(found.removed()) == {"usr/big"}
    assert (kept["etc/passwd"].mode, kept["etc/passwd"].uid, kept["etc/passwd"].gid) == (
        0o640,
        7,
        8,
    )
    assert kept["etc/passwd"].mtime == 1_700_000_000
    assert kept["usr/cap"].pax_headers[CAPABILITY] == RAW
    assert (kept["dev/null"].type, kept["dev/null"].devmajor, kept["dev/null"].devminor) == (
        tarfile.CHRTYPE,
        1,
        3,
    )
    assert kept["pipe"].isfifo()
    assert kept["bin"].linkname == "usr/bin"
    assert found.content(ODD) == b"z"


def test_the_digest_is_that_of_the_bytes_and_the_same_every_time() -> None:
    exported = export(member("a", content=b"1"), member("b", content=b"2"))
    entries = [file("/a"), file("/b")]
    one, other = (Halves(exported, entries, ["/a"]) for _ in range(2))
    assert one.diff_id == other.diff_id
    digest = hashlib.sha256(one.kept_file.getvalue()).hexdigest()
    assert one.diff_id == f"sha256:{digest}"
    assert Halves(exported, entries, ["/b"]).diff_id != one.diff_id


def test_what_the_engine_put_there_is_not_in_either_half() -> None:
    exported = export(
        member(".dockerenv"),
        member("etc", tarfile.DIRTYPE, mtime=1_999_999_999),
        member("etc/hosts", content=b"", mode=0o755),
        member("etc/mtab", tarfile.SYMTYPE, linkname="/proc/mounts"),
        member("proc", tarfile.DIRTYPE),
        member("a", content=b"1"),
    )
    placed = {"/etc/hosts": member("etc/hosts", content=b"127.0.0.1 mine", mode=0o600)}
    entries = [folder("/etc"), file("/etc/hosts"), file("/a")]
    found = Halves(exported, entries, [one.path for one in entries], placed=placed)
    assert set(found.kept()) == {"etc", "etc/hosts", "a"}
    assert found.removed() == {}
    assert found.content("etc/hosts") == b"127.0.0.1 mine"
    assert found.kept()["etc/hosts"].mode == 0o600
    assert found.kept()["etc"].mtime == 1_600_000_000


def test_a_hard_link_whose_first_name_goes_becomes_the_file_itself() -> None:
    exported = export(
        member("bin/git", content=b"program"),
        member("bin/git-add", tarfile.LNKTYPE, linkname="bin/git"),
        member("bin/git-rm", tarfile.LNKTYPE, linkname="bin/git"),
    )
    entries = [
        file("/bin/git"),
        file("/bin/git-add", twin_of="/bin/git"),
        file("/bin/git-rm", twin_of="/bin/git"),
    ]
    found = Halves(
        exported,
        entries,
        ["/bin/git-add", "/bin/git-rm"],
        files={"/bin/git-add": b"program"},
    )
    kept = found.kept()
    assert found.fetched == ["/bin/git-add"]
    assert kept["bin/git-add"].isreg()
    assert found.content("bin/git-add") == b"program"
    assert kept["bin/git-rm"].islnk()
    assert kept["bin/git-rm"].linkname == "bin/git-add"
    assert set(found.removed()) == {"bin/git"}


def test_a_hard_link_whose_first_name_stays_is_a_link_still() -> None:
    exported = export(
        member("bin/git", content=b"program"),
        member("bin/git-add", tarfile.LNKTYPE, linkname="bin/git"),
    )
    entries = [file("/bin/git"), file("/bin/git-add", twin_of="/bin/git")]
    found = Halves(exported, entries, ["/bin/git", "/bin/git-add"])
    assert found.kept()["bin/git-add"].linkname == "bin/git"
    assert found.fetched == []


@pytest.mark.parametrize("length", [101, 300])
def test_names_longer_than_a_header_stay_whole(length: int) -> None:
    name = "d/" + "n" * length
    target = "t" * length
    exported = export(member(name, content=b"1"), member("link", tarfile.SYMTYPE, linkname=target))
    entries = [file(f"/{name}"), link("/link", target)]
    found = Halves(exported, entries, [f"/{name}", "/link"])
    assert set(found.kept()) == {name, "link"}
    assert found.kept()["link"].linkname == target


def test_a_library_is_stripped_and_the_whole_of_it_is_among_what_goes() -> None:
    library, script = elf(), b"#!/bin/sh\n" + bytes(9000)
    exported = export(
        member("lib/a.so", content=library, mode=0o755),
        member("lib/b.so", content=library),
        member("lib/twin.so", tarfile.LNKTYPE, linkname="lib/a.so"),
        member("bin/script", content=script, mode=0o755),
        member("bin/short", content=b"x"),
        member("lib/signed.so", content=library, pax_headers={"SCHILY.xattr.security.ima": "1"}),
    )
    paths = [
        *("/lib/a.so", "/lib/b.so", "/lib/twin.so", "/bin/script", "/bin/short"),
        "/lib/signed.so",
    ]
    entries = [file(path, twin_of="/lib/a.so" if "twin" in path else "") for path in paths]
    may = [path for path in paths if path != "/lib/b.so"]
    one, other = (Halves(exported, entries, paths, strippable=may) for _ in range(2))
    kept, removed = one.kept(), one.removed()
    saved = one.stripped["/lib/a.so"]
    assert one.stripped.keys() == {"/lib/a.so"}
    assert kept["lib/a.so"].size == len(one.content("lib/a.so")) == len(library) - saved
    assert (kept["lib/a.so"].mode, kept["lib/a.so"].mtime) == (0o755, 1_700_000_000)
    assert kept["lib/twin.so"].linkname == "lib/a.so"
    for name, content in (
        *(("lib/b.so", library), ("bin/script", script), ("bin/short", b"x")),
        ("lib/signed.so", library),
    ):
        assert one.content(name) == content, name
    assert set(removed) == {"lib/a.so", "lib/twin.so"}
    assert one.content("lib/a.so", removed=True) == library
    assert removed["lib/a.so"].mode == 0o755
    assert removed["lib/twin.so"].linkname == "lib/a.so"
    assert one.diff_id == other.diff_id
