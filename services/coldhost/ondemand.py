"""Serve a flattened image to a cold host chunk by chunk, over a link of a stated speed.

Reads one JSON request a line, answers each with one line. ``{"do": "open", "image", "rate_bits",
"latency_s", "chunk_bytes"}`` makes a block device of it that nobody has read from; ``{"do":
"mount", "on"}`` mounts it there, read-only; ``{"do": "log"}`` tells every read so far, as nbdkit
logged it; ``{"do": "close"}`` takes all away and tells what the device was asked for (``sectors``,
by the kernel) and what was fetched for it (``fetched_chunks``, ``fetched_bytes``, by nbdkit). An
answer may be ``{"error", "kind"}`` with kind ``unable`` or ``engine``.
Imports only the standard library.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

_HOME = Path("/run/ondemand")
_PATIENCE_S = 30.0
_POLL_S = 0.005
_READ_AHEAD_KB = 128
"""Linux's default for a disk; the loop driver and FUSE bring other ones."""
_MS_RDONLY = 1
_MS_NOATIME = 1024
_MS_BIND = 4096
_libc = ctypes.CDLL(None, use_errno=True)


class OnDemandError(Exception):
    """What went wrong, and whose fault it is."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(what)
        self.kind = kind


def mount(source: str, target: str, kind: str | None, flags: int) -> None:
    """As the system call: no program to start, nothing probed."""
    done = _libc.mount(
        source.encode(), target.encode(), kind.encode() if kind else None, flags, None
    )
    if done:
        number = ctypes.get_errno()
        raise OnDemandError("unable", f"mounting {source} on {target}: {os.strerror(number)}")


class Device:
    """A block device whose bytes come over the link."""

    def __init__(self, asked: dict[str, Any]) -> None:
        _HOME.mkdir(parents=True, exist_ok=True)
        self.log = _HOME / "log"
        self._stats = _HOME / "stats"
        socket, self._file = _HOME / "socket", _HOME / "device"
        self._file.touch()
        self._mounted: list[str] = []
        on_link_s = asked["latency_s"] + asked["chunk_bytes"] * 8 / asked["rate_bits"]
        self._server = subprocess.Popen(
            [
                *("/usr/bin/nbdkit", "--foreground", "--readonly", "--unix", str(socket)),
                # The first is nearest to the client: ``log`` sees what the file system asks for,
                # ``stats`` what the cache must fetch.
                *("--filter=log", "--filter=cache", "--filter=stats", "--filter=delay"),
                *("file", asked["image"], f"logfile={self.log}", f"statsfile={self._stats}"),
                *(f"cache-min-block-size={asked['chunk_bytes']}", "cache-on-read=true"),
                # The cache fetches one chunk at a time, each whole: a link of that speed. nbdkit's
                # own filter for rates saves up what an idle link did not carry.
                f"delay-read={round(on_link_s * 1e6)}us",
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        _wait(socket.exists, self._server, "nbdkit")
        self._fuse = subprocess.Popen(
            ["/usr/bin/nbdfuse", "--readonly", str(self._file), f"nbd+unix://?socket={socket}"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        _wait(lambda: self._file.stat().st_size > 0, self._fuse, "nbdfuse")
        # Direct: what the file system asks for is asked for as it is, and cached once.
        self._loop = _said(
            "losetup", "--find", "--show", "--read-only", "--direct-io=on", self._file
        )
        # Detached while it is held: the kernel lets go of it with the last who uses it, this
        # program or a mount, also when the whole cold host is killed.
        self._held = os.open(self._loop, os.O_RDONLY)
        _said("losetup", "--detach", self._loop)
        self._block = Path("/sys/block") / Path(self._loop).name
        (self._block / "queue/read_ahead_kb").write_text(str(_READ_AHEAD_KB))
        self._sectors_before = self._sectors()

    def mount(self, on: str) -> None:
        root = "/run/ondemand/root"
        Path(root).mkdir(exist_ok=True)
        mount(self._loop, root, "ext4", _MS_RDONLY | _MS_NOATIME)
        self._mounted.append(root)
        mount(root, on, None, _MS_BIND)
        self._mounted.append(on)

    def close(self) -> dict[str, Any]:
        sectors = self._sectors() - self._sectors_before
        while self._mounted:
            _said("umount", "--lazy", self._mounted.pop())
        os.close(self._held)
        _said("umount", "--lazy", self._file)
        for program in (self._fuse, self._server):
            program.send_signal(signal.SIGTERM)
            program.wait()
        return {"sectors": sectors, "stats": self._stats.read_text()}

    def _sectors(self) -> int:
        return int((self._block / "stat").read_text().split()[2])


def _said(*words: object) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise OnDemandError("unable", f"{words[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def _wait(until: Any, program: "subprocess.Popen[bytes]", name: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not until():
        if program.poll() is not None or time.monotonic() > deadline:
            program.kill()
            said = (program.communicate()[1] or b"").decode(errors="replace").strip()
            raise OnDemandError("unable", f"{name} did not come up: {said or 'no word'}")
        time.sleep(_POLL_S)


def serve(requests: Iterable[str], out: TextIO) -> None:
    """Say that it listens, then answer until the requests end."""
    device: Device | None = None
    print(json.dumps({"ready": True}), file=out, flush=True)
    for line in requests:
        asked = json.loads(line)
        said: dict[str, Any] = {}
        try:
            match asked["do"], device:
                case "open", None:
                    device = Device(asked)
                case "mount", Device():
                    device.mount(asked["on"])
                case "log", Device():
                    said = {"log": device.log.read_text()}
                case "close", Device():
                    said, device = device.close(), None
                case what, _:
                    said = {"error": f"{what} is not possible now", "kind": "engine"}
        except OnDemandError as why:
            said = {"error": str(why), "kind": why.kind}
        except OSError as why:
            said = {"error": str(why), "kind": "unable"}
        print(json.dumps(said), file=out, flush=True)


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
