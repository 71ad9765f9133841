"""A trainer that writes a small model at once, in place of an engine's container."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.engine.api import ContainerSpec
from tests.unit.engine.fake import Behaviour, FakeContainer, FakeEngine

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


class ScriptedEngine(FakeEngine):
    """Makes containers that write a model, or fail as told."""

    meanwhile: Callable[[], object]
    """Done while the model is being written."""

    def __init__(self) -> None:
        super().__init__()
        self.code, self.said = 0, "kappa 0.81"
        self.interrupt = False
        self.meanwhile = lambda: None

    @property
    def specs(self) -> list[ContainerSpec]:
        return [made.spec for made in self.made]

    def create(self, spec: ContainerSpec) -> FakeContainer:
        out = next(Path(mount.source or "") for mount in spec.mounts if mount.target == "/out")

        def work() -> tuple[int, str]:
            told = {"--train", "--data"} & set(spec.command or ())
            write_model(out, weights="retrained" if told else "stored")
            self.meanwhile()
            if self.interrupt:
                raise KeyboardInterrupt
            return self.code, self.said

        self.does = Behaviour(work=work, oom=self.code == 137)
        return super().create(spec)
