"""A trainer that writes a small model at once, in place of an engine's container."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.engine.api import (
    ContainerSpec,
    ContainerState,
    EngineEvent,
    EngineFacts,
    ImageFacts,
    LayerEvent,
    Load,
    LogStream,
    Usage,
)
from lab.spec import EngineKind, Platform

MODEL = "retinopathy-mobilenet"

DESCRIPTION: dict[str, Any] = {
    "schema": 2,
    "name": MODEL,
    "task": "image-classification",
    "inputs": [{"name": "image"}],
    "outputs": [{"name": "probabilities"}],
    "labels": ["no DR", "mild"],
}


def write_model(out: Path, *, weights: str) -> None:
    """What the real trainer leaves behind, in small."""
    (out / "saved_model" / "variables").mkdir(parents=True)
    (out / "saved_model" / "variables" / "data").write_bytes(b"weights" * 100)
    (out / "saved_model" / "saved_model.pb").write_bytes(b"graph")
    (out / "model.onnx").write_bytes(b"onnx" * 100)
    (out / "samples").mkdir()
    (out / "samples" / "photo-size.jpg").write_bytes(b"jpeg")
    (out / "model.json").write_text(json.dumps(DESCRIPTION))
    card = {
        **DESCRIPTION,
        "samples": {"payload": "samples/photo-size.jpg", "held_out": "samples/held-out"},
        "parameters": 3_377_221,
        "sha256": {"weights": "ab"},
        "metrics": {"qwk": 0.81, "accuracy": 0.7},
        "training": {"origin": "drawn", "weights": weights},
    }
    (out / "card.json").write_text(json.dumps(card))


class ScriptedContainer:
    """Does its work when it is started."""

    id = "c0"
    name = "trainer"

    def __init__(self, work: Callable[[], tuple[int, str]], labels: Mapping[str, str]) -> None:
        self.labels = labels
        self.removed = False
        self._work = work
        self._code = 0
        self._said = ""

    def start(self) -> None:
        self._code, self._said = self._work()

    def stop(self, *, grace_s: float = 30.0) -> None:
        raise NotImplementedError

    def kill(self, signal: str = "KILL") -> None:
        raise NotImplementedError

    def remove(self) -> None:
        self.removed = True

    def address(self, port: int | None = None) -> tuple[str, int]:
        raise NotImplementedError

    def state(self) -> ContainerState:
        return ContainerState(
            running=False,
            pid=None,
            started_at_ns=1,
            exit_code=self._code,
            oom_killed=self._code == 137,
        )

    def logs(self, *, tail: int = 50) -> str:
        return self._said

    def follow_logs(self, *, since_ns: int = 0) -> LogStream:
        raise NotImplementedError

    def load(self) -> Load | None:
        return None

    def usage(self) -> Usage:
        return Usage()

    def events(self, since_ns: int) -> Sequence[EngineEvent]:
        return ()

    def execute(self, command: Sequence[str]) -> tuple[int, str]:
        raise NotImplementedError


class ScriptedEngine:
    """Makes containers that write a model, or fail as told."""

    kind = EngineKind.DOCKER

    def __init__(self) -> None:
        self.made: list[ScriptedContainer] = []
        self.specs: list[ContainerSpec] = []
        self.code, self.said = 0, "kappa 0.81"
        self.interrupt = False
        self.meanwhile: Callable[[], object] = lambda: None

    def facts(self) -> EngineFacts:
        return EngineFacts(
            kind=self.kind,
            name="scripted",
            address="",
            versions={},
            storage_driver=None,
            cgroup_version=None,
            cpus=1,
            memory_bytes=1,
            platform=Platform.AMD64,
            clock_offset_s=0,
            clock_error_s=0,
        )

    def create(self, spec: ContainerSpec) -> ScriptedContainer:
        out = next(Path(mount.source or "") for mount in spec.mounts if mount.target == "/out")

        def work() -> tuple[int, str]:
            told = {"--train", "--data"} & set(spec.command or ())
            write_model(out, weights="retrained" if told else "stored")
            self.meanwhile()
            if self.interrupt:
                raise KeyboardInterrupt
            return self.code, self.said

        self.specs.append(spec)
        self.made.append(ScriptedContainer(work, spec.labels))
        return self.made[-1]

    def containers(self, labels: Mapping[str, str]) -> Sequence[ScriptedContainer]:
        return [
            made
            for made in self.made
            if not made.removed and labels.items() <= dict(made.labels).items()
        ]

    def image(self, ref: str) -> ImageFacts:
        raise NotImplementedError

    def pull(self, ref: str, *, platform: Platform | None = None) -> Sequence[LayerEvent]:
        raise NotImplementedError

    def close(self) -> None:
        pass
