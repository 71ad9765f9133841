"""The engine without containers: a virtual environment for an image, a process for a container."""

import json
import math
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from lab import paths
from lab.engine.api import ContainerSpec, EngineFacts, ImageFacts, LayerEvent
from lab.engine.process import memcg, proctree
from lab.engine.process.container import ProcessContainer, Record, Starter
from lab.errors import EngineError, ImageNotFoundError, PortTakenError
from lab.host import memory_bytes, this_machine, usable_cpus
from lab.sockets import free_port
from lab.spec import LABEL, EngineKind, Platform

ADDRESS: Final = "processes"
_NEED_DOCKER: Final = "Use a Docker Engine for this: see `lab doctor`."


class ProcessEngine:
    """Runs ``serve`` of a variant's virtual environment as a child process."""

    kind: Final = EngineKind.PROCESS

    def __init__(self, *, cache: Path | None = None, notes: Sequence[str] = ()) -> None:
        """``cache`` holds the virtual environments and the state of running processes."""
        self._cache = cache or paths.cache()
        self._notes = tuple(notes)
        self._limits_memory = memcg.possible()
        # One thread that lives as long as the lab starts every process: a process asks the
        # kernel to be told when the thread that started it ends.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lab-starter")
        self._known: dict[str, ProcessContainer] = {}
        self._sweep()

    def facts(self) -> EngineFacts:
        """What it is, and in which ways it is not a container engine."""
        return EngineFacts(
            kind=EngineKind.PROCESS,
            name="processes (no container)",
            address=ADDRESS,
            versions={"python": platform.python_version(), "kernel": platform.release()},
            storage_driver=None,
            cgroup_version=None,
            cpus=usable_cpus(),
            memory_bytes=memory_bytes().get("MemTotal", 0),
            platform=this_machine(),
            clock_offset_s=0.0,
            clock_error_s=0.0,
            notes=(*self._notes, *self._degraded()),
        )

    def create(self, spec: ContainerSpec) -> ProcessContainer:
        _refuse_what_needs_a_container(spec)
        image = self._image(spec.image)
        port = _port(spec.publish)
        identifier = secrets.token_hex(8)
        folder = self._state / identifier
        home = folder / "home"
        home.mkdir(parents=True)
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "TMPDIR": str(home),
            "LANG": "C.UTF-8",
            **image["env"],
            **spec.env,
            "SAGEMAKER_BIND_TO_PORT": str(port),
        }
        if spec.model_dir is not None:
            env["LAB_MODEL_DIR"] = str(spec.model_dir)
        record = Record(
            id=identifier,
            name=spec.name or f"inference-lab-{identifier[:8]}",
            labels={**spec.labels, LABEL: "true"},
            argv=[*image["argv"], *spec.command],
            env=env,
            port=port,
            cpus=None if spec.cpus is None else math.ceil(min(spec.cpus, usable_cpus())),
            memory_bytes=spec.memory_bytes if self._limits_memory else None,
            created_at_ns=time.time_ns(),
            owner=os.getpid(),
            owner_born=proctree.born(os.getpid()),
        )
        record.save(folder)
        return self._container(folder, record)

    def containers(self, labels: Mapping[str, str]) -> Sequence[ProcessContainer]:
        """The processes, of this command and of others, that carry ``labels``."""
        return [
            self._container(folder, record)
            for folder, record in self._records()
            if labels.items() <= record.labels.items()
        ]

    def image(self, ref: str) -> ImageFacts:
        """The virtual environment that stands for an image; its bytes for the unpacked size."""
        image = self._image(ref)
        return ImageFacts(
            ref=ref,
            image_id="sha256:" + sha256(json.dumps(image, sort_keys=True).encode()).hexdigest(),
            digest=None,
            platform=this_machine(),
            unpacked_bytes=int(image["unpacked_bytes"]),
            labels={},
        )

    def media_type(self, ref: str) -> str:
        raise EngineError(f"{ref} is in no registry: no container here.", remedy=_NEED_DOCKER)

    def pull(self, ref: str, *, platform: Platform | None = None) -> Sequence[LayerEvent]:
        del platform
        raise EngineError(f"{ref} cannot be pulled: no container here.", remedy=_NEED_DOCKER)

    def close(self) -> None:
        """Nothing to let go of; processes stay until they are removed or the lab ends."""

    @property
    def _state(self) -> Path:
        return self._cache / "processes"

    def _container(self, folder: Path, record: Record) -> ProcessContainer:
        # The one that started a process is its parent, and has to learn of its end.
        if record.id not in self._known:
            self._known[record.id] = ProcessContainer(folder, record, start=self._start)
        return self._known[record.id]

    def _start(self, starter: Starter) -> Any:
        return self._thread.submit(starter).result()

    def _records(self) -> Sequence[tuple[Path, Record]]:
        folders = sorted(self._state.iterdir()) if self._state.is_dir() else []
        found = [(folder, Record.load(folder)) for folder in folders]
        return [(folder, record) for folder, record in found if record is not None]

    def _sweep(self) -> None:
        for folder, record in self._records():
            if not proctree.runs(record.owner, record.owner_born):
                self._container(folder, record).remove()

    def _image(self, ref: str) -> Mapping[str, Any]:
        found = re.fullmatch(r"inference-lab/([\w.-]+):\w+", ref)
        file = self._cache / "venvs" / (found[1] if found else "-") / "image.json"
        try:
            image: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ImageNotFoundError(
                f"There is no virtual environment for {ref}.",
                remedy="Build it: `lab images build`." if found else _NEED_DOCKER,
            ) from error
        except (OSError, ValueError) as error:
            raise EngineError(f"{file} cannot be read: {error}", remedy="Delete it.") from error
        return image

    def _degraded(self) -> Sequence[str]:
        notes = [
            "No container: a virtual environment stands for the image; nothing is pulled.",
            "The file system, /dev/shm and the network are the machine's own.",
            "CPU quotas are rounded up to whole CPUs.",
        ]
        if not self._limits_memory:
            notes.append("Memory limits are not enforced: no memory cgroup can be made here.")
        if shutil.which("setpriv") is None:
            notes.append("If the lab is killed, its processes end at its next start (no setpriv).")
        return notes


def _refuse_what_needs_a_container(spec: ContainerSpec) -> None:
    asked = {
        "mounts": bool(spec.mounts),
        "a network": spec.network is not None,
        "privileges": spec.privileged or bool(spec.cap_add),
        "another user": spec.user is not None,
    }
    wanted = [name for name, value in asked.items() if value]
    if wanted:
        raise EngineError(
            f"A process cannot be given {' or '.join(wanted)}: that takes a container.",
            remedy=_NEED_DOCKER,
        )


def _port(publish: int | None) -> int:
    try:
        return free_port(publish or 0)
    except OSError as error:
        raise PortTakenError(
            f"Port {publish} is taken: {error.strerror}.",
            remedy="Stop the program that listens on it, or choose another port.",
        ) from error
