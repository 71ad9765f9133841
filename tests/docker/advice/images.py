"""Small images on which the advisor and the slimmer are proven, made to the byte.

They are tars that the engine loads. Their program (``advice_images/small/serve.c``) is static and
reads known files at known moments.
"""

import hashlib
import io
import json
import random
import secrets
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lab.engine.docker.engine import DockerEngine
from lab.spec import LABEL, Platform
from tests.docker import known

FOLDER: Final = Path(__file__).parent.parent / "advice_images"
PAYLOAD: Final = FOLDER / "small" / "request.json"
JSON: Final = "application/json"
WEIGHTS: Final = "/srv/weights.bin"
LABELS: Final = "/srv/labels.txt"
PROGRAM: Final = "/serve"
READ: Final = frozenset({PROGRAM, WEIGHTS, LABELS})
"""What a start of the small images' program and its predictions read, and nothing else."""
WEIGHTS_BYTES: Final = 16 << 20
LINKS_OF_EXT4: Final = 65_000
"""How many names a file of ext4 has at most; one more is EMLINK."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """An entry of a layer."""

    path: str | bytes
    """Absolute; bytes where it is no UTF-8."""
    content: bytes = b""
    mode: int = 0o644
    uid: int = 0
    kind: bytes = tarfile.REGTYPE
    target: str = ""
    """Of a link, as it is written."""
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, str] = field(default_factory=dict)

    def info(self) -> tarfile.TarInfo:
        raw = self.path if isinstance(self.path, bytes) else self.path.encode()
        made = tarfile.TarInfo(raw.decode("utf-8", "surrogateescape").lstrip("/"))
        made.type, made.mode, made.size = self.kind, self.mode, len(self.content)
        made.uid = made.gid = self.uid
        made.linkname = self.target
        if self.kind == tarfile.LNKTYPE:
            made.linkname = made.linkname.lstrip("/")
        made.devmajor, made.devminor = self.device
        made.pax_headers = {f"SCHILY.xattr.{name}": one for name, one in self.xattrs.items()}
        return made


def file(path: str | bytes, content: bytes = b"", **more: Any) -> Member:
    return Member(path=path, content=content, **more)


def folder(path: str, mode: int = 0o755) -> Member:
    return Member(path=path, kind=tarfile.DIRTYPE, mode=mode)


def link(path: str, target: str) -> Member:
    return Member(path=path, kind=tarfile.SYMTYPE, target=target, mode=0o777)


def second_name(path: str | bytes, of: str) -> Member:
    return Member(path=path, kind=tarfile.LNKTYPE, target=of)


def removed(path: str) -> Member:
    """That a lower layer's file is gone."""
    head, _, name = path.rpartition("/")
    return Member(path=f"{head}/.wh.{name}")


def noise(count: int, seed: int = 0) -> bytes:
    """Bytes that no compression shrinks; the same for the same seed."""
    return random.Random(seed).randbytes(count)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A small image: its layers above the program's, and what its configuration says beyond it."""

    layers: Sequence[Sequence[Member]] = ()
    config: Mapping[str, object] = field(default_factory=dict)
    weights: int = 64 << 10
    """Bytes that the start reads of ``/srv/weights.bin``."""


def small(program: bytes, recipe: Recipe) -> Sequence[Sequence[Member]]:
    """All layers of an image with the program, the lowest first."""
    served = (
        folder("/srv"),
        folder("/tmp", 0o1777),
        file(PROGRAM, program, mode=0o755),
        file(WEIGHTS, noise(recipe.weights, 1)),
        file(LABELS, b"no finding\n"),
    )
    return (served, *recipe.layers)


def load(
    engine: DockerEngine,
    name: str,
    layers: Sequence[Sequence[Member]],
    *,
    config: Mapping[str, object] | None = None,
    platform: Platform | None = None,
) -> str:
    """Have the engine load an image of these layers; its name."""
    ref = f"{known.REPOSITORY}/{name}:{secrets.token_hex(4)}"
    packed = [_layer(members) for members in layers]
    settings: dict[str, object] = {
        "Entrypoint": [PROGRAM],
        "ExposedPorts": {"8080/tcp": {}},
        "Labels": {LABEL: "true"},
        "Env": ["PATH=/bin"],
        **(config or {}),
    }
    image = {
        "architecture": (platform or engine.facts().platform).arch,
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": settings,
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in packed],
        },
        "history": [
            {"created": "2024-01-01T00:00:00Z", "created_by": f"COPY layer{number} / # by hand"}
            for number, _ in enumerate(packed, 1)
        ],
    }
    with tempfile.TemporaryFile() as out:
        with tarfile.open(fileobj=out, mode="w") as tar:
            names = []
            for number, one in enumerate(packed, 1):
                names.append(f"{number}/layer.tar")
                _add(tar, names[-1], one)
            _add(tar, "image.json", json.dumps(image).encode())
            manifest = [{"Config": "image.json", "RepoTags": [ref], "Layers": names}]
            _add(tar, "manifest.json", json.dumps(manifest).encode())
        out.seek(0)
        said = list(engine.client.load_image(out))
    failed = [line["error"] for line in said if "error" in line]
    if failed:
        raise AssertionError(failed)
    return ref


def _layer(members: Sequence[Member]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(
        fileobj=out, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape"
    ) as tar:
        for one in members:
            info = one.info()
            if isinstance(one.path, bytes):  # PAX would say it in UTF-8; ustar takes bytes
                out.write(info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape"))
                out.write(one.content + b"\0" * (-len(one.content) % tarfile.BLOCKSIZE))
                tar.offset = out.tell()
            else:
                tar.addfile(info, io.BytesIO(one.content))
    return out.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def filler(count: int, *, weights: int = WEIGHTS_BYTES) -> Recipe:
    """The control: ``count`` random bytes that nobody reads, in a layer of their own."""
    layers = [[folder("/opt"), file("/opt/filler.bin", noise(count, 2))]] if count else []
    return Recipe(layers=layers, weights=weights)


def three_files() -> Recipe:
    """Exactly ``READ`` is read; beside it lies a package's worth of files that are not."""
    unread = [file(f"/usr/share/unread/{n:03}.txt", noise(4096, n)) for n in range(100)]
    packaged = [
        folder("/var/lib/dpkg/info"),
        file(
            "/var/lib/dpkg/info/unread.list",
            b"/usr\n/usr/share\n/usr/share/unread\n"
            + b"".join(f"/usr/share/unread/{n:03}.txt\n".encode() for n in range(100)),
        ),
        file(
            "/var/lib/dpkg/status",
            b"Package: unread\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"
            b"Installed-Size: 400\n",
        ),
    ]
    return Recipe(layers=[[folder("/usr/share/unread"), *unread], packaged])


ERROR_PATHS: Final[Mapping[str, bytes]] = {
    "/srv/wrong-type.txt": b"only application/json\n",
    "/srv/broken.txt": b"not JSON\n",
    "/srv/metrics.txt": b"requests_total 1\n",
    "/srv/user.txt": b"no root here\n",
    "/srv/read-only.txt": b"nothing can be written\n",
}


def error_paths() -> Recipe:
    """Its program opens a file of its own on each path that a plain prediction does not take:
    wrong type, broken body, ``/metrics``, another uid, a read-only root; it ends without.
    """
    return Recipe(
        layers=[
            [
                *(file(path, text) for path, text in ERROR_PATHS.items()),
                folder("/opt"),
                file("/opt/unread.bin", noise(256 << 10, 3)),
            ]
        ],
        config={"Env": ["PATH=/bin", "STRICT=1"]},
    )


_CAPABILITY: Final = (
    "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)
"""``cap_net_bind_service+ep``, as the kernel keeps it."""


def _hard_links(names: int) -> Sequence[Member]:
    """As many names as the issue's image has, of as few files as an engine on ext4 can hold."""
    made = [folder("/data")]
    for n in range(names):
        of = n - n % LINKS_OF_EXT4
        made.append(
            second_name(f"/data/{n}", f"/data/{of}") if n > of else file(f"/data/{n}", b"x")
        )
    return made


ODD: Final[Mapping[str, Recipe]] = {
    "hard-links": Recipe(
        # The labels are read by the second name of a file whose first name is removed.
        layers=[
            [
                file("/srv/also.txt", b"no finding\n"),
                second_name(LABELS, "/srv/also.txt"),
                second_name("/srv/third.txt", "/srv/also.txt"),
            ],
            [removed("/srv/also.txt")],
        ]
    ),
    "devices": Recipe(
        layers=[
            [
                folder("/data"),
                Member(path="/data/null", kind=tarfile.CHRTYPE, device=(1, 3), mode=0o666),
                Member(path="/data/disk", kind=tarfile.BLKTYPE, device=(7, 99), mode=0o600),
                Member(path="/data/pipe", kind=tarfile.FIFOTYPE, mode=0o600),
            ]
        ]
    ),
    "xattrs": Recipe(
        layers=[
            [
                file(
                    "/data/ping",
                    b"\x7fELF",
                    mode=0o755,
                    xattrs={"security.capability": _CAPABILITY, "user.origin": "here"},
                ),
            ]
        ]
    ),
    "root-only": Recipe(
        layers=[
            [
                folder("/root", 0o700),
                file("/root/key.txt", b"0", mode=0o600),
                file("/root/none.txt", b"1", mode=0),
                folder("/closed", 0),
                file("/closed/in.txt", b"2", mode=0o400),
            ]
        ]
    ),
    "many-links": Recipe(layers=[_hard_links(65_535)]),
    "no-utf-8": Recipe(
        layers=[
            [
                folder("/data"),
                file(b"/data/caf\xe9.txt", b"latin-1\n"),
                file("/data/caf\u00e9.txt", b"utf-8\n"),
                file("/data/two\nlines \\ and \ttab", b"odd\n"),
            ]
        ]
    ),
    "empty-layer": Recipe(layers=[[], [folder("/data")], []]),
    "links": Recipe(
        # Folders behind links, a loop, one to nowhere; a folder that becomes a file, and back.
        layers=[
            [
                folder("/usr/lib"),
                link("/lib", "usr/lib"),
                file("/usr/lib/one.so", b"1"),
                link("/usr/lib/loop", "loop"),
                link("/nowhere", "/not/there"),
                folder("/swap"),
                file("/swap/in.txt", b"gone later"),
                file("/turn", b"a file"),
            ],
            [file("/swap", b"now a file"), folder("/turn"), file("/turn/in.txt", b"a folder")],
        ]
    ),
    "opaque": Recipe(
        layers=[
            [folder("/opaque"), file("/opaque/old.txt", b"old")],
            [folder("/opaque"), file("/opaque/.wh..wh..opq"), file("/opaque/new.txt", b"new")],
        ]
    ),
    "user": Recipe(config={"User": "1000:1000"}),
    "volume": Recipe(
        layers=[[folder("/data"), file("/data/kept.txt", b"kept\n")]],
        config={"Volumes": {"/data": {}}},
    ),
    "stop-signal": Recipe(
        config={
            "StopSignal": "SIGQUIT",
            "Healthcheck": {"Test": ["CMD", "/serve", "--check"], "Interval": 30_000_000_000},
            "WorkingDir": "/srv",
        }
    ),
}
"""Images that an engine takes, and that are easily taken wrong."""


def all_odd() -> Recipe:
    """All that is odd about files, in one image."""
    return Recipe(
        layers=[layer for name, one in ODD.items() if name != "many-links" for layer in one.layers]
    )
