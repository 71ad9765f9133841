"""Runs as a runner would leave them, drawn from a seed: realistic in shape, exact in repetition."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lab.coldstart.record import (
    Cell,
    Chunks,
    Failure,
    FailureKind,
    ImageRecord,
    Layer,
    ModelRecord,
    Outcome,
    Run,
    Sample,
)
from lab.spec import FLOOR, Phase, Platform, StartKind

MB = 1_000_000
BANDWIDTH = 1_000_000_000
CHUNK = 512 * 1024
LATENCY_S = 0.0005
UNPACKED = 2.8
"""Of a compressed byte."""
READ: Mapping[str, Mapping[Phase, float]] = {
    variant: {Phase.IMAGE_MOUNT: 0.001, Phase.START: 0.009, largest: share}
    for variant, largest, share in (
        ("baseline", Phase.IMPORTS, 0.25),
        ("slim", Phase.IMPORTS, 0.4),
        ("onnx", Phase.IMPORTS, 0.5),
        ("onnx-slim", Phase.IMPORTS, 0.9),
        (FLOOR, Phase.BOOT, 0.9),
    )
}
"""Shares of the unpacked image that an on-demand start reads, by phase."""

INSIDE: Mapping[str, Mapping[Phase, float]] = {
    "baseline": {
        Phase.INTERPRETER: 0.031,
        Phase.IMPORTS: 2.61,
        Phase.MODEL_LOAD: 0.82,
        Phase.SERVE: 0.24,
        Phase.READY: 0.012,
        Phase.FIRST_PREDICTION: 0.061,
    },
    "slim": {
        Phase.INTERPRETER: 0.022,
        Phase.IMPORTS: 1.72,
        Phase.MODEL_LOAD: 0.63,
        Phase.SERVE: 0.041,
        Phase.READY: 0.009,
        Phase.FIRST_PREDICTION: 0.047,
    },
    "onnx": {
        Phase.INTERPRETER: 0.019,
        Phase.IMPORTS: 0.36,
        Phase.MODEL_LOAD: 0.052,
        Phase.SERVE: 0.033,
        Phase.READY: 0.008,
        Phase.FIRST_PREDICTION: 0.019,
    },
    "onnx-slim": {
        Phase.INTERPRETER: 0.012,
        Phase.IMPORTS: 0.121,
        Phase.MODEL_LOAD: 0.043,
        Phase.SERVE: 0.011,
        Phase.READY: 0.006,
        Phase.FIRST_PREDICTION: 0.016,
    },
    FLOOR: {Phase.BOOT: 0.009, Phase.READY: 0.004, Phase.FIRST_PREDICTION: 0.002},
}
COMPRESSED: Mapping[str, int] = {
    "baseline": 902 * MB,
    "slim": 431 * MB,
    "onnx": 214 * MB,
    "onnx-slim": 61 * MB,
    FLOOR: 2 * MB,
}


@dataclass(kw_only=True)
class Script:
    """What to draw. Each field has the shape of a healthy run; a test changes what it is about."""

    variants: Sequence[str] = ("baseline", "slim", "onnx", "onnx-slim", FLOOR)
    kinds: Sequence[StartKind] = (StartKind.RESTART, StartKind.FRESH, StartKind.PULL)
    models: Sequence[str] = ("retinopathy-mobilenet",)
    tiers: Sequence[str] = ("2048",)
    platform: Platform = Platform.AMD64
    blocks: int = 10
    seed: int = 7
    noise: float = 0.03
    process: bool = False
    emulated: bool = False
    compressed: bool = True
    inside: Mapping[str, Mapping[Phase, float]] = field(default_factory=lambda: INSIDE)
    engine: Mapping[str, Any] = field(default_factory=dict)
    host: Mapping[str, Any] = field(default_factory=dict)
    id: str = "20261120T120501Z-default"
    notes: Sequence[str] = ()
    edit: Callable[[Sample], Sample] = lambda sample: sample
    """Applied to each sample last: to fail, skip, slow down or otherwise spoil it."""
    stop_after: int | None = None


def failed(sample: Sample, kind: FailureKind, message: str, **more: Any) -> Sample:
    """The same trial, ended badly."""
    return sample.model_copy(
        update={
            "outcome": Outcome.FAILED,
            "failure": Failure(kind=kind, message=message, **more),
            "total_s": None,
            "wall_s": None,
            "phases_s": {},
            "second_prediction_s": None,
        }
    )


def skipped(sample: Sample, reason: str) -> Sample:
    """The same trial, never made."""
    return failed(sample, FailureKind.ENGINE, "").model_copy(
        update={"outcome": Outcome.SKIPPED, "failure": None, "skipped": reason}
    )


def scaled(sample: Sample, factor: float) -> Sample:
    """The same trial, slower."""
    assert sample.total_s is not None
    return sample.model_copy(
        update={
            "phases_s": {phase: value * factor for phase, value in sample.phases_s.items()},
            "total_s": sample.total_s * factor,
            "wall_s": sample.total_s * factor,
        }
    )


def make(script: Script | None = None) -> tuple[Run, list[Sample]]:
    """A run and its samples."""
    script = script or Script()
    rng = np.random.default_rng(script.seed)
    cells = [
        Cell(variant=v, model=m, platform=script.platform, tier=t, start_kind=k)
        for m in script.models
        for t in script.tiers
        for k in script.kinds
        for v in script.variants
    ]
    order: list[tuple[int, Cell]] = []
    for block in range(script.blocks + 1):
        order += [(block, cells[place]) for place in rng.permutation(len(cells))]
    samples = [
        script.edit(_sample(trial, block, cell, script, rng))
        for trial, (block, cell) in enumerate(order)
    ]
    return _run(script, order), samples[: script.stop_after]


def mixed(native: Script, emulated: Script) -> tuple[Run, list[Sample]]:
    """One run on the native script's machine that also measured another platform under QEMU."""
    run, samples = make(native)
    other, more = make(emulated)
    first = len(run.order)
    run = run.model_copy(
        update={
            "order": [*run.order, *other.order],
            "images": [*run.images, *other.images],
            "notes": [*run.notes, "linux/arm64 is emulated."],
        }
    )
    later = [sample.model_copy(update={"trial": sample.trial + first}) for sample in more]
    return run, [*samples, *later]


def write(folder: Path, script: Script | None = None) -> Path:
    """The same as a run folder."""
    return write_run(folder, *make(script))


def write_run(folder: Path, run: Run, samples: Sequence[Sample]) -> Path:
    """A run as its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(run.model_dump_json(by_alias=True))
    lines = [sample.model_dump_json(by_alias=True) + "\n" for sample in samples]
    (folder / "samples.jsonl").write_text("".join(lines))
    return folder


def _sample(trial: int, block: int, cell: Cell, script: Script, rng: np.random.Generator) -> Sample:
    phases = _phases(cell, script)
    cold = 1.35 if block == 0 else 1.0
    drawn = {
        phase: seconds * cold * float(rng.lognormal(0.0, script.noise))
        for phase, seconds in phases.items()
    }
    total = sum(drawn.values())
    minute, second = divmod(trial * 3, 60)
    return Sample(
        trial=trial,
        block=block,
        cell=cell,
        started_at=f"2026-11-20T12:{minute % 60:02d}:{second:02d}Z",
        outcome=Outcome.OK,
        phases_s=drawn,
        total_s=total,
        wall_s=total * 1.0005,
        second_prediction_s=drawn[Phase.FIRST_PREDICTION] * 0.6,
        probe_interval_s=0.01,
        emulated=script.emulated,
        peak_memory_bytes=int((520 if cell.variant in ("baseline", "slim") else 140) * MB),
        cpu_seconds=total * 0.7,
        throttled_seconds=total * 0.02,
        read_bytes=3 * MB,
        chunks=_chunks(cell) if cell.start_kind is StartKind.ONDEMAND else None,
        pulled_layers=6 if cell.start_kind is StartKind.PULL else None,
        evidence={"container": f"c{trial}"},
    )


def _chunks(cell: Cell) -> Chunks:
    size = int(COMPRESSED.get(cell.variant, 300 * MB) * UNPACKED)
    shares = READ.get(cell.variant, {Phase.IMAGE_MOUNT: 0.001, Phase.BOOT: 0.3})
    fetched = {phase: round(size * share / CHUNK) for phase, share in shares.items()}
    return Chunks(
        chunk_bytes=CHUNK,
        bandwidth_bits_per_s=BANDWIDTH,
        latency_s=LATENCY_S,
        image_bytes=size,
        fetched=fetched,
        waited_s={
            phase: count * (CHUNK * 8 / BANDWIDTH + LATENCY_S) for phase, count in fetched.items()
        },
    )


def _phases(cell: Cell, script: Script) -> dict[Phase, float]:
    phases: dict[Phase, float] = {}
    size = COMPRESSED.get(cell.variant, 300 * MB)
    if cell.start_kind is StartKind.ONDEMAND:
        phases[Phase.IMAGE_MOUNT] = 0.04
        phases[Phase.MODEL_FETCH] = 0.16 if cell.variant != FLOOR else 0.0
    if cell.start_kind is StartKind.PULL:
        phases[Phase.IMAGE_PULL] = 0.35 + size * 8 / BANDWIDTH * 1.1
        phases[Phase.IMAGE_UNPACK] = size / (60 * MB)
        phases[Phase.MODEL_FETCH] = 0.16 if cell.variant != FLOOR else 0.0
    if cell.start_kind is not StartKind.RESTART and not script.process:
        phases[Phase.CREATE] = 0.014
    if not script.process:
        phases[Phase.START] = 0.171
    slow = 1.0 if cell.tier == "host" else max(1.0, 1769 / float(cell.tier))
    for phase, seconds in script.inside.get(cell.variant, {Phase.BOOT: 1.3}).items():
        heavier = 1.4 if "vgg19" in cell.model and phase is Phase.MODEL_LOAD else 1.0
        phases[phase] = seconds * slow * heavier
    phases.setdefault(Phase.FIRST_PREDICTION, 0.03)
    if cell.start_kind is StartKind.ONDEMAND:
        for phase, seconds in _chunks(cell).waited_s.items():
            phases[phase] = phases.get(phase, 0.0) + seconds
    return phases


def _run(script: Script, order: Sequence[tuple[int, Cell]]) -> Run:
    name = "processes (no container)" if script.process else "Docker Engine 26.1.5"
    engine: dict[str, Any] = {
        "kind": "process" if script.process else "docker",
        "name": name,
        "address": "" if script.process else "unix:///run/lab/docker.sock",
        "versions": {"engine": "26.1.5", "containerd": "1.7.24"},
        "storage_driver": None if script.process else "overlay2",
        "cgroup_version": "2",
        "cpus": 2,
        "memory_bytes": 25_000_000_000,
        "platform": "linux/amd64",
        "clock_offset_s": 0.0,
        "clock_error_s": 0.0004,
        "notes": [],
    }
    return Run(
        id=script.id,
        started_at="2026-11-20T12:05:01Z",
        lab_version="0.1.0",
        git_commit="1ba851a0c5b94c0a94c9b4c3a2b4c0d94d3f4c11",
        git_dirty=False,
        plan_name="default",
        plan={
            "repeats": script.blocks,
            "models": list(script.models),
            "chunk_latency": LATENCY_S,
        },
        seed=script.seed,
        order=order,
        host={
            "cpu_model": "AMD EPYC 9R14",
            "cpus": 2,
            "memory_bytes": 25_000_000_000,
            "kernel": "6.1.0-30-amd64",
            "system": "Debian GNU/Linux 12 (bookworm)",
            **script.host,
        },
        engine=engine | dict(script.engine),
        base_image={
            "ref": "inference-lab/base:trixie-amd64",
            "source": "packages",
            "digest": "sha256:" + "ab" * 32,
        },
        bandwidth_bits_per_s=None if script.process else BANDWIDTH,
        images=[_image(variant, script) for variant in script.variants],
        models=[
            ModelRecord(name=model, archive="onnx", sha256="cd" * 32, bytes=12_400_000)
            for model in script.models
        ],
        notes=list(script.notes),
    )


def _image(variant: str, script: Script) -> ImageRecord:
    total = COMPRESSED.get(variant, 300 * MB)
    if script.platform is Platform.ARM64:
        total = int(total * 0.96)
    shares = (
        (0.62, "RUN pip install --no-deps -r requirements.txt"),
        (0.25, "RUN apt-get update && apt-get install --yes nginx build-essential"),
        (0.10, "/bin/sh -c #(nop) ADD file:6a1b in /"),
        (0.03, "COPY app /opt/program/app"),
    )
    layers = [
        Layer(
            compressed_bytes=int(total * share) if script.compressed else None,
            unpacked_bytes=int(total * share * UNPACKED),
            created_by=command,
        )
        for share, command in shares
    ]
    compressed = sum(layer.compressed_bytes or 0 for layer in layers)
    return ImageRecord(
        variant=variant,
        platform=script.platform,
        ref=f"inference-lab/{variant}:{script.platform.arch}",
        digest=None if script.process else "sha256:" + f"{len(variant):02x}" * 32,
        compressed_bytes=compressed if script.compressed else None,
        unpacked_bytes=sum(layer.unpacked_bytes for layer in layers),
        layers=layers,
    )


def as_json(path: Path) -> Any:
    """A JSON file's content."""
    return json.loads(path.read_text())
