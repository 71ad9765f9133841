"""Write an image's files, a tar on standard input, into one ext4 file system in a file.

As AWS Lambda does with a container image when a function is made (Brooker et al., *On-demand
Container Loading in AWS Lambda*, USENIX ATC 2023), so that a block device can serve it. Called as
``flatten.py FILE BYTES``; answers with one line of JSON: ``{"used_bytes", "files"}``, or
``{"error", "kind"}`` with kind ``disk``, ``unable`` or ``engine``. Beside FILE lie then
``FILE.extents``, where each file's bytes are (a line of JSON each: path, offset and length pairs),
and ``FILE.json``, the answer. Names are kept whatever their encoding.
Imports only the standard library.
"""

import contextlib
import fcntl
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

_SPARE = 256 << 20
_INODE_PER_BYTES = 4096
_FIEMAP = 0xC020660B
_HEAD = struct.Struct("=QQLLLL")
_EXTENT = struct.Struct("=QQQQQLLLL")
_MOST = 256
_LAST = 1
_NO_PLACE = 0x2 | 0x200 | 0x800
"""Of an extent: unknown, inline, or never written."""


class FlattenError(Exception):
    """What went wrong, and whose fault it is."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(what)
        self.kind = kind


def run(*words: str, kind: str) -> None:
    """Run a program that must not fail."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
        raise FlattenError(kind, f"{words[0]}: {said}")


def flatten(image: Path, size: int) -> dict[str, Any]:
    """Make the file system. What is half made is removed."""
    part = image.with_suffix(".part")
    mounted = Path("/run/flatten")
    free = shutil.disk_usage(image.parent).free
    if free < size + _SPARE:
        raise FlattenError("disk", f"{size} bytes are needed and {free} are free")
    mounted.mkdir(parents=True, exist_ok=True)
    said = image.with_suffix(".json")
    with alone(part) as file:
        if said.exists() and image.exists():
            # Another run made it meanwhile.
            part.unlink()
            return dict(json.loads(said.read_text()))
        try:
            # Sparse: only what is written takes space.
            file.truncate(0)
            file.truncate(2 * size + (1 << 30))
            found = filled(part, mounted)
            part.replace(image)
            # Last: it says that the others are there, whole.
            said.write_text(json.dumps(found))
        except BaseException:
            part.unlink(missing_ok=True)
            image.with_suffix(".extents").unlink(missing_ok=True)
            raise
    return found


@contextlib.contextmanager
def alone(part: Path) -> Iterator[IO[bytes]]:
    """The half-made file, once no other run is at it."""
    while True:
        with part.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # The one that was waited for may have been removed, or be the image by now.
            if part.exists() and part.stat().st_ino == os.fstat(file.fileno()).st_ino:
                yield file
                return


def filled(part: Path, mounted: Path) -> dict[str, Any]:
    """Make the file system in the file, and unpack into it."""
    run(
        *("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0"),
        *("-i", str(_INODE_PER_BYTES), "-E", "lazy_itable_init=1,nodiscard", str(part)),
        kind="engine",
    )
    run("mount", "-o", "loop,noatime,noinit_itable", str(part), str(mounted), kind="unable")
    try:
        return fill(mounted, part)
    finally:
        run("umount", str(mounted), kind="engine")


def fill(root: Path, part: Path) -> dict[str, Any]:
    """Unpack standard input, and write down where each file's bytes lie."""
    (root / "lost+found").rmdir()  # mke2fs's, and no image's
    done = subprocess.run(
        ["/usr/bin/tar", "-x", "--numeric-owner", "--xattrs", "--xattrs-include=*", f"-C{root}"],
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        kind = "disk" if any("No space left" in line for line in said) else "engine"
        raise FlattenError(kind, f"the image cannot be unpacked: {' / '.join(said[:3])}")
    os.sync()
    files = 0
    with part.with_suffix(".extents").open("w") as out:
        for path, places in laid_out(os.fsencode(root)):
            files += 1
            print(json.dumps([os.fsdecode(path), places]), file=out)
    used = os.statvfs(root)
    return {"used_bytes": (used.f_blocks - used.f_bfree) * used.f_frsize, "files": files}


def laid_out(root: bytes) -> Iterator[tuple[bytes, list[tuple[int, int]]]]:
    """Each regular file and folder, as the container sees its path, and where its bytes are."""
    for folder, _, names in os.walk(root):
        for path in (folder, *(folder + b"/" + name for name in names)):
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                yield path[len(root) :] or b"/", extents(path)


def extents(path: bytes) -> list[tuple[int, int]]:
    """Offset and length in the file system of each run of a file's blocks."""
    found: list[tuple[int, int]] = []
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        start = 0
        while True:
            flags = 0
            asked = bytearray(_HEAD.size + _MOST * _EXTENT.size)
            _HEAD.pack_into(asked, 0, start, (1 << 64) - 1 - start, 0, 0, _MOST, 0)
            fcntl.ioctl(descriptor, _FIEMAP, asked)
            count = _HEAD.unpack_from(asked)[3]
            for at in range(count):
                logical, physical, length, _, _, flags, *_ = _EXTENT.unpack_from(
                    asked, _HEAD.size + at * _EXTENT.size
                )
                if not flags & _NO_PLACE:
                    found.append((physical, length))
                start = logical + length
            if not count or flags & _LAST:
                return found
    finally:
        os.close(descriptor)


def main(image: Path, size: int) -> dict[str, Any]:
    """Do it; what fails is an answer, too."""
    try:
        return flatten(image, size)
    except FlattenError as why:
        return {"error": str(why), "kind": why.kind}
    except OSError as why:
        return {"error": str(why), "kind": "engine"}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))), flush=True)
