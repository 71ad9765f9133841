import gzip
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.artifacts.archive import extract, extract_stream, pack, sha256, unpacked
from lab.errors import ArchiveError


def folder_of(place: Path) -> Path:
    (place / "saved_model" / "variables").mkdir(parents=True)
    (place / "saved_model" / "variables" / "data").write_bytes(os.urandom(3000))
    (place / "saved_model" / "assets").mkdir()
    (place / "model.json").write_text("{}")
    return place


def hostile(archive: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return archive


def a_file(name: str, size: int = 4) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member


def a_link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    return member


def a_node(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    return member


def test_what_is_packed_comes_out_again(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in")

    pack(folder, tmp_path / "a.tar.gz")
    extract(tmp_path / "a.tar.gz", tmp_path / "out")

    for path in folder.rglob("*"):
        twin = tmp_path / "out" / path.relative_to(folder)
        assert twin.is_dir() if path.is_dir() else twin.read_bytes() == path.read_bytes()


def test_times_modes_and_order_of_files_leave_no_trace(tmp_path: Path) -> None:
    first = folder_of(tmp_path / "first")
    second = tmp_path / "second"
    for path in sorted(first.rglob("*"), reverse=True):
        twin = second / path.relative_to(first)
        if path.is_file():
            twin.parent.mkdir(parents=True, exist_ok=True)
            twin.write_bytes(path.read_bytes())
            twin.chmod(0o600)
            os.utime(twin, (1, 1))
        else:
            twin.mkdir(parents=True, exist_ok=True)

    sums = pack(first, tmp_path / "1.tar.gz"), pack(second, tmp_path / "other-name.tar.gz")

    assert sums[0] == sums[1] == sha256(tmp_path / "other-name.tar.gz")


def test_only_the_names_asked_for_are_packed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in")

    pack(folder, tmp_path / "a.tar.gz", names=["model.json"])

    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        assert tar.getnames() == ["model.json"]


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ([a_file("../evil")], "../evil"),
        ([a_file("good/../../evil")], "good/../../evil"),
        ([a_file("/etc/evil")], "/etc/evil"),
        ([a_file("C:evil")], "C:evil"),
        ([a_file("..\\evil")], "..\\\\evil"),
        ([a_link("way", "../..")], "way"),
        ([a_link("way", "/etc")], "way"),
        ([a_link("way", "../outside", tarfile.LNKTYPE)], "way"),
        ([a_link("way", "/etc/passwd", tarfile.LNKTYPE)], "way"),
        ([a_node("null", tarfile.CHRTYPE)], "null"),
        ([a_node("disk", tarfile.BLKTYPE)], "disk"),
        ([a_node("pipe", tarfile.FIFOTYPE)], "pipe"),
        # A link that stays inside by its text, but not once an earlier link is followed.
        (
            [a_node("sub", tarfile.DIRTYPE), a_link("sub/up", ".."), a_link("far", "sub/up/../x")],
            "far",
        ),
    ],
)
def test_a_hostile_member_is_refused_by_name_and_nothing_is_written_outside(
    tmp_path: Path, members: list[tarfile.TarInfo], named: str
) -> None:
    (tmp_path / "outside").write_text("untouched")
    archive = hostile(tmp_path / "evil.tar.gz", *members)

    with pytest.raises(ArchiveError) as caught:
        extract(archive, tmp_path / "deep" / "model")

    assert named in caught.value.what
    assert (tmp_path / "outside").read_text() == "untouched"
    assert {path.name for path in tmp_path.iterdir()} == {"outside", "evil.tar.gz", "deep"}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model"]


def test_a_file_never_lands_behind_a_link_that_was_there_before(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "way").symlink_to(tmp_path / "outside")

    with pytest.raises(ArchiveError, match="way/evil"):
        extract(hostile(tmp_path / "a.tar.gz", a_file("way/evil")), tmp_path / "model")

    assert not list((tmp_path / "outside").iterdir())


def test_a_second_member_replaces_a_link_instead_of_writing_through_it(tmp_path: Path) -> None:
    archive = hostile(
        tmp_path / "a.tar.gz", a_file("real"), a_link("name", "real"), a_file("name", 9)
    )

    extract(archive, tmp_path / "model")

    assert (tmp_path / "model" / "real").stat().st_size == 4
    assert not (tmp_path / "model" / "name").is_symlink()


def test_links_that_stay_inside_are_kept(tmp_path: Path) -> None:
    archive = hostile(
        tmp_path / "a.tar.gz",
        a_file("versions/1/model.onnx"),
        a_link("model.onnx", "versions/1/model.onnx"),
        a_link("same.onnx", "versions/1/model.onnx", tarfile.LNKTYPE),
    )

    extract(archive, tmp_path / "model")

    assert (tmp_path / "model" / "model.onnx").read_bytes() == b"xxxx"
    assert (tmp_path / "model" / "same.onnx").read_bytes() == b"xxxx"


def test_a_bomb_is_stopped_before_it_is_written(tmp_path: Path) -> None:
    archive = hostile(tmp_path / "bomb.tar.gz", a_file("small", 10), a_file("huge", 2_000_000))

    with pytest.raises(ArchiveError, match=r"1\.0 MB.*'huge'"):
        extract(archive, tmp_path / "model", most_bytes=1_000_000)

    assert not (tmp_path / "model" / "huge").exists()


def cut_off(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-200])


def not_a_tar(archive: Path) -> None:
    archive.write_bytes(gzip.compress(b"this is no tar"))


def not_gzip(archive: Path) -> None:
    archive.write_bytes(b"PK\x03\x04 nonsense")


def nothing(archive: Path) -> None:
    archive.write_bytes(b"")


def one_bit(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)


@pytest.mark.parametrize("damage", [cut_off, not_a_tar, not_gzip, nothing, one_bit])
def test_a_damaged_archive_is_named(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    pack(folder_of(tmp_path / "in"), tmp_path / "model.tar.gz")
    damage(tmp_path / "model.tar.gz")

    with pytest.raises(ArchiveError, match=r"model\.tar\.gz"):
        extract(tmp_path / "model.tar.gz", tmp_path / "out")


def test_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"gone\.tar\.gz does not exist"):
        extract(tmp_path / "gone.tar.gz", tmp_path / "out")


def test_nobody_gets_special_rights_from_an_archive(tmp_path: Path) -> None:
    member = a_file("tool")
    member.mode = 0o6777

    extract(hostile(tmp_path / "a.tar.gz", member), tmp_path / "model")

    assert (tmp_path / "model" / "tool").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_an_archive_is_unpacked_as_its_parts_come_in(tmp_path: Path, size: int) -> None:
    folder = folder_of(tmp_path / "in")
    pack(folder, tmp_path / "a.tar.gz")
    whole = (tmp_path / "a.tar.gz").read_bytes()

    parts = [whole[at : at + size] for at in range(0, len(whole), size)]
    extract_stream([*parts, b""], tmp_path / "out", name="a.tar.gz")

    assert (tmp_path / "out" / "saved_model" / "variables" / "data").read_bytes() == (
        folder / "saved_model" / "variables" / "data"
    ).read_bytes()


def test_an_archive_in_two_gzip_members_padded_with_zeros_is_whole(tmp_path: Path) -> None:
    pack(folder_of(tmp_path / "in"), tmp_path / "a.tar.gz")
    plain = gzip.decompress((tmp_path / "a.tar.gz").read_bytes())
    parts = [gzip.compress(plain[:1000]), b"\0" * 40, gzip.compress(plain[1000:]), b"\0" * 512]

    extract_stream(parts, tmp_path / "out", name="a.tar.gz")

    assert (tmp_path / "out" / "model.json").read_text() == "{}"


def test_what_breaks_off_on_the_way_comes_through_as_it_is(tmp_path: Path) -> None:
    class LostError(Exception):
        pass

    def parts() -> Iterator[bytes]:
        yield b"\x1f\x8b"
        raise LostError

    with pytest.raises(LostError):
        extract_stream(parts(), tmp_path / "out", name="a.tar.gz")


def test_what_is_unpacked_for_a_container_may_be_read_by_any_user_and_goes_away(
    tmp_path: Path,
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "weights.bin").write_bytes(b"w")
    pack(tmp_path / "in", tmp_path / "m.tar.gz")
    with unpacked(tmp_path / "m.tar.gz") as model:
        assert (model / "weights.bin").read_bytes() == b"w"
        assert model.parent.stat().st_mode & 0o755 == 0o755
    assert not model.parent.exists()
