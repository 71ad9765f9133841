"""What is no model.tar.gz, or no whole one: said in a sentence, whatever it is."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from lab.artifacts.archive import extract, extract_stream
from lab.errors import ArchiveError, DiskFullError, LabError
from tests.fidelity import OURS, fidelity


def tar(*names: str) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name in names or ("weights", "model/config"):
            member = tarfile.TarInfo(name)
            member.size = 3000
            archive.addfile(member, io.BytesIO(bytes(range(250)) * 12))
    return raw.getvalue()


def zipped() -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("weights", "w")
    return raw.getvalue()


TAR = tar()
WHOLE = gzip.compress(TAR)
SAFETENSORS = (64).to_bytes(8, "little") + b'{"weight":{"dtype":"F32","shape":[1],'
LFS = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)


@fidelity(
    "Model data",
    "What is no gzipped tar archive is not extracted; the lab says what it is instead.",
    OURS,
    "AWS's reason is the same for all of them, and names none",
)
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "It is empty."),
        (b"\x1f", "It is not compressed with gzip (it begins with 1f)."),
        (TAR, "It is a plain tar archive, not compressed. Compress it: `gzip model.tar`."),
        (bz2.compress(TAR), "It is compressed with bzip2."),
        (lzma.compress(TAR), "It is compressed with xz."),
        (b"\x28\xb5\x2f\xfd....", "It is compressed with Zstandard."),
        (zlib.compress(TAR), "It is not compressed with gzip (it begins with 78 9c"),
        (zipped(), "It is a zip archive."),
        (b"070701" + b"0" * 200, "It is a cpio archive."),
        (LFS, "It is a Git LFS pointer, not the file that it stands for. Run `git lfs pull`"),
        (b"\n<!DOCTYPE HTML><p>Not found", "It is an HTML page"),
        (b'<?xml version="1.0"?><Error>', "It is an XML document"),
        (b'{"message": "Forbidden"}', "It is JSON"),
        (b"GGUF\x03", "It is a GGUF file. Put it into a tar.gz, or deploy it as it is: Model"),
        (
            SAFETENSORS,
            "It is a safetensors file. Put it into a tar.gz, or deploy it",
        ),
        (b"\x08\x07\x12", "It is not compressed with gzip (it begins with 08 07 12)."),
        (gzip.compress(b""), "Inside its gzip it is empty."),
        (gzip.compress(b"weights"), "Inside its gzip it is no tar archive."),
        (gzip.compress(b"weights" * 1000), "Inside its gzip it is no tar archive. Pack it as `tar"),
        (gzip.compress(zipped()), "Inside its gzip it is a zip archive."),
        (gzip.compress(WHOLE), "Inside its gzip it is compressed with gzip again."),
        (gzip.compress(LFS), "Inside its gzip it is a Git LFS pointer"),
        (WHOLE[:5], "Its gzip data end in the middle."),
        (WHOLE[:-200], "Its gzip data end in the middle."),
        (WHOLE[:-1], "Its gzip data end in the middle."),
        (WHOLE[:-8] + b"\1" + WHOLE[-7:], "Its gzip checksum does not fit what is in it"),
        (WHOLE[:-1] + b"\1", "Its gzip checksum does not fit what is in it"),
        (WHOLE[:60] + b"\xff" * 30 + WHOLE[90:], "damaged"),
        (WHOLE + b"garbage", "Its gzip data are followed by others, which are not gzip."),
        (WHOLE + WHOLE[:20], "Its gzip data end in the middle."),
        (gzip.compress(TAR[:2000]), "Its tar archive is damaged, or ends in the middle."),
        (gzip.compress(TAR[:3600]), "A header in its tar archive is damaged."),
        (gzip.compress(TAR[:3700]), "A header in its tar archive is damaged."),
        (gzip.compress(TAR[:3590] + b"?" + TAR[3591:]), "A header in its tar archive is damaged."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_what_is_no_archive_is_said(tmp_path: Path, data: bytes, said: str, size: int) -> None:
    parts = [data[at : at + size] for at in range(0, len(data), size)]

    with pytest.raises(ArchiveError) as caught:
        extract_stream(parts, tmp_path / "out", name="a.tar.gz")

    assert str(caught.value).startswith("a.tar.gz is not a whole gzipped tar archive. ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        WHOLE,
        WHOLE + b"\0" * 700,
        gzip.compress(TAR[:1000]) + gzip.compress(TAR[1000:]),
        gzip.compress(TAR[:1000]) + gzip.compress(b"") + gzip.compress(TAR[1000:]) + b"\0" * 9,
        gzip.compress(TAR.rstrip(b"\0").ljust(7168, b"\0")),
        gzip.compress(TAR) + gzip.compress(tar("never")),
    ],
    ids=["one", "padded", "two members", "three members", "no end mark", "a second archive"],
)
def test_what_gzip_and_tar_take_is_taken(tmp_path: Path, data: bytes) -> None:
    extract_stream([data], tmp_path / "out", name="a.tar.gz")
    found = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert found == {"weights", "config"}


def test_a_header_that_says_it_is_huge_is_not_read_into_memory(tmp_path: Path) -> None:
    member = tarfile.TarInfo("long")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 1 << 33
    with pytest.raises(ArchiveError, match="much too long"):
        extract_stream(
            [gzip.compress(member.tobuf(tarfile.GNU_FORMAT))], tmp_path / "out", name="a.tar.gz"
        )


def test_a_full_disk_is_said_without_a_number_and_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr("lab.artifacts.members.shutil.copyfileobj", no_room)
    with pytest.raises(DiskFullError) as caught:
        extract_stream([WHOLE], tmp_path / "out", name="a.tar.gz")
    assert str(caught.value).startswith("The disk is full: a.tar.gz could not be unpacked.")
    assert str(tmp_path) not in str(caught.value)


def test_a_folder_in_place_of_an_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="cannot be read: Is a directory"):
        extract(tmp_path, tmp_path / "out")


def _damage(data: bytes, at: int, byte: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([byte]) + data[at + 1 :]


DAMAGES: dict[str, Callable[[int, int], bytes]] = {
    "one byte of the gzip": lambda at, byte: _damage(WHOLE, at, byte),
    "one byte of the tar": lambda at, byte: gzip.compress(_damage(TAR, at, byte)),
    "one byte of a header": lambda at, byte: gzip.compress(_checked(_damage(TAR[:512], at, byte))),
    "cut off": lambda at, byte: WHOLE[: at % len(WHOLE)],
    "a tar cut off": lambda at, byte: gzip.compress(TAR[: at % len(TAR)]),
    "any bytes": lambda at, byte: at.to_bytes(8, "big") * (byte + 1),
    "any bytes, gzipped": lambda at, byte: gzip.compress(at.to_bytes(8, "big") * (byte + 1)),
}


def _checked(header: bytes) -> bytes:
    """With a checksum that fits, so that what it says is believed."""
    total = sum(header[:148]) + 8 * 32 + sum(header[156:512])
    return header[:148] + f"{total:06o}\0 ".encode() + header[156:] + TAR[512:]


@given(
    damage=some.sampled_from(sorted(DAMAGES)),
    at=some.integers(0, 2**60),
    byte=some.integers(0, 255),
)
def test_whatever_comes_is_unpacked_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, damage: str, at: int, byte: int
) -> None:
    place = tmp_path_factory.mktemp("state")
    data = DAMAGES[damage](at, byte)
    said = "The archive was unpacked"
    try:
        extract_stream([data], place / "out", name="The archive")
    except LabError as error:
        said = str(error)
    assert "Errno" not in said
    assert str(place) not in said
    assert said.startswith("The archive")
    assert len(said) < 600
    assert [path.name for path in place.iterdir()] == ["out"]
