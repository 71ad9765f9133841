"""Every name and layout that a tar archive can have."""

import base64
import io
import json
import os
import tarfile
import unicodedata
from pathlib import Path

import pytest

from lab.artifacts.archive import extract, pack
from lab.errors import ArchiveError
from tests.fidelity import OURS, fidelity


def packed(archive: Path, *names: str, kind: int = tarfile.PAX_FORMAT) -> Path:
    """Each name a file whose content is its place in the order, or a folder if it ends in /."""
    with tarfile.open(archive, "w:gz", format=kind) as tar:
        for place, name in enumerate(names):
            member = tarfile.TarInfo(name)
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
            else:
                member.size = 1
                tar.addfile(member, io.BytesIO(str(place % 10).encode()))
    return archive


def unpacked(tmp_path: Path, *names: str, kind: int = tarfile.PAX_FORMAT) -> dict[str, str]:
    extract(packed(tmp_path / "a.tar.gz", *names, kind=kind), tmp_path / "model")
    paths = (tmp_path / "model").rglob("*")
    return {
        path.relative_to(tmp_path / "model").as_posix(): path.read_text()
        for path in paths
        if path.is_file()
    }


NFC, NFD = (unicodedata.normalize(form, "modèle") for form in ("NFC", "NFD"))


@fidelity(
    "Model data",
    "A file in an archive may have any name that Linux takes: colons, backslashes, blanks, "
    "line breaks, Unicode in whatever form, 255 bytes.",
    OURS,
    "TensorFlow calls variables `b:0.npy`; of AWS nothing but links is reported to be refused.",
)
@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize(
    "name",
    [
        "b:0.npy",
        "C:weights",
        "back\\slash",
        "two words ",
        " ",
        "line\nbreak",
        NFC,
        NFD,
        "modell-\U0001f916",
        "x" * 255,
        "/".join(["f" * 200] * 15),
        "/".join("f" * 256),
        "-rf",
        "~",
        "*?[a]",
    ],
)
def test_a_name_that_linux_takes_is_taken(tmp_path: Path, name: str, kind: int) -> None:
    assert unpacked(tmp_path, name, kind=kind) == {name: "0"}


def test_names_that_differ_in_case_or_form_alone_are_different_files(tmp_path: Path) -> None:
    found = unpacked(tmp_path, "Model", "model", NFC, NFD)
    assert found == {"Model": "0", "model": "1", NFC: "2", NFD: "3"}


def test_what_adds_nothing_to_a_path_is_left_out(tmp_path: Path) -> None:
    assert unpacked(tmp_path, "./", "./a", "b//c", "d/./e/", "d/./e/f") == {
        "a": "1",
        "b/c": "2",
        "d/e/f": "4",
    }


@fidelity(
    "Model data",
    "Of two files of one name in an archive the last stays.",
    OURS,
    "So does GNU tar, which appends (`tar -r`) what is newer.",
)
def test_of_two_files_of_one_name_the_last_stays(tmp_path: Path) -> None:
    assert unpacked(tmp_path, "a", "b/c", "./a", "b/c") == {"a": "2", "b/c": "3"}


@fidelity(
    "Model data",
    "An archive in which one path is a file and a folder is refused.",
    OURS,
    "botocore: S3ModelDataSource.CompressionType says that ambiguous names fail, of objects",
)
@pytest.mark.parametrize(
    "names", [("a", "a/b"), ("a", "a/"), ("a/", "a"), ("a/b", "a"), ("a/b", "a/b/c/")]
)
def test_a_path_that_is_a_file_and_a_folder_is_refused(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    with pytest.raises(ArchiveError, match=r"a file.*folder|folder.*a file"):
        unpacked(tmp_path, *names)


@fidelity(
    "Model data",
    "An archive may be empty, or hold folders alone.",
    OURS,
    "It is a valid tar.gz archive, and an image may carry its model itself.",
)
@pytest.mark.parametrize("names", [(), ("./",), ("a/", "a/b/", "c/")])
def test_an_archive_without_files_is_unpacked(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert unpacked(tmp_path, *names) == {}
    assert len([*(tmp_path / "model").rglob("*")]) == len(set(names) - {"./"})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x" * 256, "is 256 bytes long; 255 is the most"),
        ("ü" * 128, "is 256 bytes long; 255 is the most"),
        ("/".join("f" * 257), "is 257 levels deep; the lab unpacks 256"),
        ("/".join(["f" * 200] * 21), "has a path of more than 4081 bytes"),
    ],
)
def test_a_name_that_linux_does_not_take_is_refused(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(ArchiveError) as caught:
        unpacked(tmp_path, name)
    assert said in caught.value.what
    assert len(caught.value.what) < 600


def test_a_null_byte_in_a_name_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("short")
    member.pax_headers = {"path": "evil\0name"}
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.addfile(member)
    with pytest.raises(ArchiveError, match="null byte"):
        extract(tmp_path / "a.tar.gz", tmp_path / "model")


GNU_TAR = json.loads(Path(__file__).with_name("gnu_tar.json").read_text())
"""By its options, what GNU tar 1.34 made of one folder, gzipped and in base64."""


@pytest.mark.parametrize("options", GNU_TAR)
def test_what_gnu_tar_packs_is_unpacked(tmp_path: Path, options: str) -> None:
    (tmp_path / "a.tar.gz").write_bytes(base64.b64decode(GNU_TAR[options]))

    extract(tmp_path / "a.tar.gz", tmp_path / "model")

    holes = b"begin".ljust(100_000, b"\0") + b"middle".ljust(100_000, b"\0")
    files = {os.fsencode(path.name): path for path in (tmp_path / "model").iterdir()}
    assert sorted(files) == [b"caf\xe9", b"empty", b"holes", b"small"]
    assert files[b"empty"].is_dir()
    assert files[b"small"].read_text() == "small"
    assert files[b"holes"].read_bytes() == holes


def test_any_name_is_packed_too(tmp_path: Path) -> None:
    names = ["b:0.npy", NFD, "x" * 255, "/".join(["f" * 90] * 5)]
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text("x")
    pack(tmp_path / "in", tmp_path / "a.tar.gz")
    extract(tmp_path / "a.tar.gz", tmp_path / "model")
    assert all((tmp_path / "model" / name).is_file() for name in names)
