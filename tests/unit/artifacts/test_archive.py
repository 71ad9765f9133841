import gzip
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.artifacts.archive import extract, extract_stream, pack, sha256, unpacked
from lab.errors import ArchiveError
from tests.fidelity import DOCUMENTED, OURS, fidelity


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
        ([a_file("/")], "'/'"),
        ([a_file(".")], "'.'"),
        ([a_file("inside/../still-inside")], "inside/../still-inside"),
        ([a_link("way", "../outside", tarfile.LNKTYPE)], "way"),
        ([a_link("way", "/etc/passwd", tarfile.LNKTYPE)], "way"),
        ([a_node("null", tarfile.CHRTYPE)], "null"),
        ([a_node("disk", tarfile.BLKTYPE)], "disk"),
        ([a_node("pipe", tarfile.FIFOTYPE)], "pipe"),
        ([a_node("odd", b"Z")], "odd"),
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


@fidelity(
    "Model data",
    "An archive with a symbolic link is not extracted; the lab names the link and the remedy.",
    DOCUMENTED,
    "https://repost.aws/knowledge-center/sagemaker-endpoint-creation-fail",
)
@pytest.mark.parametrize("to", ["../../blobs/ab12", "/etc/passwd", "nothing", "."])
def test_a_symbolic_link_is_refused_with_its_name_and_the_remedy(tmp_path: Path, to: str) -> None:
    archive = hostile(
        tmp_path / "a.tar.gz", a_file("blobs/ab12"), a_link("snapshots/1/model.bin", to)
    )

    with pytest.raises(ArchiveError) as caught:
        extract(archive, tmp_path / "model")

    assert f"'snapshots/1/model.bin' is a symbolic link to '{to}'" in caught.value.what
    assert "tar --dereference" in caught.value.remedy


@fidelity(
    "Model data",
    "A hard link in an archive is extracted: it is the file that it names.",
    OURS,
    "No report of AWS's refusing one was found, and GNU tar makes them of two names of one file.",
)
def test_a_hard_link_is_the_file_that_it_names(tmp_path: Path) -> None:
    archive = hostile(
        tmp_path / "a.tar.gz",
        a_file("./versions/1/model.onnx"),
        a_link("same.onnx", "versions//1/model.onnx", tarfile.LNKTYPE),
        a_link("same.onnx", "./same.onnx", tarfile.LNKTYPE),
        a_link("versions/1/model.onnx", "versions/1/model.onnx", tarfile.LNKTYPE),
    )

    extract(archive, tmp_path / "model")

    assert (tmp_path / "model" / "versions" / "1" / "model.onnx").read_bytes() == b"xxxx"
    assert (tmp_path / "model" / "same.onnx").read_bytes() == b"xxxx"


def test_a_later_file_does_not_write_through_a_hard_link(tmp_path: Path) -> None:
    archive = hostile(
        tmp_path / "a.tar.gz",
        a_file("real"),
        a_link("name", "real", tarfile.LNKTYPE),
        a_file("name", 9),
    )

    extract(archive, tmp_path / "model")

    assert (tmp_path / "model" / "real").stat().st_size == 4
    assert (tmp_path / "model" / "name").stat().st_size == 9


def test_a_bomb_is_stopped_before_it_is_written(tmp_path: Path) -> None:
    archive = hostile(tmp_path / "bomb.tar.gz", a_file("small", 10), a_file("huge", 2_000_000))

    with pytest.raises(ArchiveError, match=r"1\.0 MB.*'huge'"):
        extract(archive, tmp_path / "model", most_bytes=1_000_000)

    assert not (tmp_path / "model" / "huge").exists()


def test_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"gone\.tar\.gz does not exist"):
        extract(tmp_path / "gone.tar.gz", tmp_path / "out")


@fidelity(
    "Model data",
    "Of a member's mode only whether its owner may run it is kept: 0755 or 0644, folders 0755.",
    OURS,
    "AWS does not say which user owns what it extracts; whoever the image runs as may read it.",
)
@pytest.mark.parametrize(("mode", "kept"), [(0o6777, 0o755), (0, 0o644), (0o400, 0o644)])
def test_nobody_gets_special_rights_from_an_archive(tmp_path: Path, mode: int, kept: int) -> None:
    member = a_file("folder/tool")
    member.mode = mode
    folder = a_node("folder", tarfile.DIRTYPE)
    folder.mode = 0
    before = os.umask(0o077)
    try:
        extract(hostile(tmp_path / "a.tar.gz", folder, member), tmp_path / "model")
    finally:
        os.umask(before)

    assert (tmp_path / "model" / "folder").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "model" / "folder" / "tool").stat().st_mode & 0o7777 == kept


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
