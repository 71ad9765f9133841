"""Images as `docker save` writes them, made of a few files."""

import gzip
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence

Files = Mapping[str, bytes | tarfile.TarInfo]
"""By name a file's content, or what stands there in its place: see ``link`` and the like."""

ELF_AMD64 = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00" + b"\x3e\x00" + bytes(44)
ELF_ARM64 = ELF_AMD64[:18] + b"\xb7\x00" + ELF_AMD64[20:]


def link(target: str, *, hard: bool = False) -> tarfile.TarInfo:
    """A symbolic link, or a further name of a file."""
    return _special(tarfile.LNKTYPE if hard else tarfile.SYMTYPE, 0o777, target)


def folder(mode: int = 0o755) -> tarfile.TarInfo:
    return _special(tarfile.DIRTYPE, mode)


def device() -> tarfile.TarInfo:
    return _special(tarfile.CHRTYPE, 0o666)


def _special(kind: bytes, mode: int, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo()
    member.type, member.mode, member.linkname = kind, mode, target
    return member


def packed(files: Files) -> bytes:
    """A layer."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                tar.addfile(content)
                continue
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o755 if content.startswith(b"\x7fELF") else 0o644
            tar.addfile(member, io.BytesIO(content))
    return data.getvalue()


def saved(
    layers: Sequence[Files],
    *,
    commands: Sequence[str] = (),
    older: bool = False,
    compressed: bool = False,
) -> bytes:
    """The whole archive; ``older``: laid out as engines did before OCI's layout."""
    said = commands or [f"COPY {number} /" for number in range(len(layers))]
    steps = [{"created_by": command} for command in said]
    config = {"history": [*steps, {"created_by": 'CMD ["serve"]', "empty_layer": True}]}
    names = [
        f"{number}/layer.tar" if older else f"blobs/sha256/{number:064x}"
        for number in range(len(layers))
    ]
    place = "c0ffee.json" if older else f"blobs/sha256/{'c' * 64}"
    manifest = [{"Config": place, "RepoTags": ["x:latest"], "Layers": names}]
    contents = [gzip.compress(packed(one)) if compressed else packed(one) for one in layers]
    whole = {
        place: json.dumps(config).encode(),
        **dict(zip(names, contents, strict=True)),
        "manifest.json": json.dumps(manifest).encode(),
    }
    return packed(whole)


def in_chunks(data: bytes, size: int = 700) -> Iterator[bytes]:
    """As an engine sends it."""
    for begin in range(0, len(data), size):
        yield data[begin : begin + size]
