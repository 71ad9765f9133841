"""An image whose files come chunk by chunk, over a link, as they are read.

A flattened image is shown to a cold host as a block device behind a link of a stated bandwidth and
latency. Its engine is given an image of one empty layer and the original's configuration, and the
device's file system is mounted in the place of that layer: whatever the engine then makes of it
(overlay, writable layer, user, entry point) is as of any image. No page of it was ever cached in
the cold host, and what is never read is never fetched.
"""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from lab.engine.coldhost.blocklog import CHUNK_BYTES, BlockRead, parse
from lab.engine.coldhost.flat import FlatImage, NoDeviceError
from lab.engine.coldhost.host import ColdHost
from lab.engine.coldhost.program import Program
from lab.engine.docker.errors import translated
from lab.errors import EngineError

_COMMAND: Final = ("python3", "/opt/coldhost/ondemand.py")
_NAME: Final = "inference-lab/ondemand:1"
_SECTOR: Final = 512
_FETCHED: Final = re.compile(r"^read: (\d+) ops", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Of the link that the chunks come over."""

    bandwidth: int
    """Bits per second."""
    latency_s: float
    """Of each chunk, beside what its bytes take."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What was asked of the device in all, by two counts that know nothing of each other."""

    device_bytes: int
    """Read by the file system, as the kernel counted."""
    fetched_chunks: int
    """Fetched over the link, as the server counted."""


class OnDemandImage:
    """An image in a cold host that is there as soon as it is mounted."""

    name: Final = _NAME

    def __init__(self, host: ColdHost, program: Program, flat: FlatImage, folder: str) -> None:
        self._host = host
        self._program = program
        self._folder = folder
        self.flat = flat
        self.counted: Counted | None = None
        """Once it is closed."""

    def mount(self) -> None:
        """From here on containers can be made of it."""
        _asked(self._program, {"do": "mount", "on": self._folder})

    def reads(self) -> tuple[BlockRead, ...]:
        """What has been read of the device so far, by the cold host's clock."""
        return tuple(parse(_asked(self._program, {"do": "log"})["log"]))

    def close(self) -> Counted:
        """Take the device away; its containers must be gone."""
        said = _asked(self._program, {"do": "close"})
        fetched = _FETCHED.search(said["stats"])
        self.counted = Counted(
            device_bytes=said["sectors"] * _SECTOR,
            fetched_chunks=int(fetched[1]) if fetched else 0,
        )
        return self.counted

    def extents(self) -> Iterator[tuple[str, list[tuple[int, int]]]]:
        """Each file and folder of the image, and where its bytes lie in the device.

        Names that are no UTF-8 hold surrogates, as ``os.fsdecode`` makes them.
        """
        code, said = self._host.machine.execute(["cat", str(self.flat.extents)])
        if code != 0:
            raise EngineError(f"The layout of {self.flat.ref} cannot be read: {said.strip()}")
        for line in said.splitlines():
            path, places = json.loads(line)
            yield path, [(int(offset), int(length)) for offset, length in places]


@contextmanager
def on_demand(host: ColdHost, flat: FlatImage, speed: Speed) -> Iterator[OnDemandImage]:
    """Have it in a cold host that sees the flattened images; it is closed with the block.

    Raises ``NoDeviceError`` where the machine has no loop devices or no FUSE.
    """
    program = Program(host.outer, host.machine.id, _COMMAND)
    try:
        program.answer()
        _asked(
            program,
            {
                "do": "open",
                "image": str(flat.path),
                "rate_bits": speed.bandwidth,
                "latency_s": speed.latency_s,
                "chunk_bytes": CHUNK_BYTES,
            },
        )
        image = OnDemandImage(host, program, flat, _placeholder(host, flat))
        yield image
        if image.counted is None:
            image.close()
    finally:
        # The program's processes and mounts are the cold host's, and go with it.
        program.close()


def _asked(program: Program, request: Mapping[str, object]) -> dict[str, Any]:
    answer = program.ask(request)
    if "error" in answer:
        if answer["kind"] == "unable":
            raise NoDeviceError(f"no image can be served on demand here: {answer['error']}")
        raise EngineError(f"The image cannot be served on demand: {answer['error']}.")
    return answer


def _placeholder(host: ColdHost, flat: FlatImage) -> str:
    """Load an image of one empty layer with the configuration of the original's; that layer's
    folder in the cold host.
    """
    inner = host.engine
    with translated():
        original = host.outer.client.inspect_image(flat.image_id)
        inner.client.load_image(single_layer(original, _NAME))
        made = inner.client.inspect_image(_NAME)
    folder = ((made.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir")
    if not folder:
        raise NoDeviceError("the cold host's engine keeps its layers in no folder of their own")
    return str(folder)


def single_layer(original: Mapping[str, Any], name: str) -> bytes:
    """What ``docker load`` reads, of an image of one empty layer; ``original`` is what the engine
    tells of the image whose configuration it has.
    """
    layer = _tar({})
    config = {
        "architecture": original["Architecture"],
        "os": original["Os"],
        "config": original["Config"],
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"],
        },
        "history": [{"created_by": "on demand"}],
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    return _tar(
        {
            "config.json": json.dumps(config).encode(),
            "layer.tar": layer,
            "manifest.json": json.dumps(manifest).encode(),
        }
    )


def _tar(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()
