"""The lab's vocabulary as types: closed sets are enums, matched exhaustively."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

LABEL: Final = "org.inference-lab.managed"
"""On every container, image, network and volume the lab makes: nothing else is ever touched."""

LABEL_ROLE: Final = "org.inference-lab.role"
"""What the thing is for: ``trial``, ``registry``, ``coldhost``, ``trainer``, ``link``, ..."""

LABEL_OWNER: Final = "org.inference-lab.owner"
"""Which run (its id) or service made it, so that a cancelled command removes only its own."""

LABEL_PROCESS: Final = "org.inference-lab.process"
"""Which process made what must not outlive it: what a killed one left is nobody's."""

LABEL_NAME: Final = "org.inference-lab.name"
"""A container's own name. Containers have their image's labels, and images those of what they are
built on: one that the lab did not make does not bear its own name there."""

FLOOR: Final = "floor"
"""The variant that does nothing but answer: what the engine itself costs."""

PORT: Final = 8080
"""Where SageMaker expects the container to listen."""

MODEL_DIR: Final = "/opt/ml/model"
"""Where SageMaker puts the unpacked model."""

MB_PER_VCPU: Final = 1769
"""Lambda's documented ratio. AWS publishes none for SageMaker serverless; it is used for lack of
a better one, and every table that depends on it says so."""


@unique
class StartKind(StrEnum):
    """How cold a start is."""

    RESTART = "restart"
    FRESH = "fresh"
    DISKCOLD = "diskcold"
    ONDEMAND = "ondemand"
    PULL = "pull"


@unique
class Platform(StrEnum):
    """What an image is built for."""

    AMD64 = "linux/amd64"
    ARM64 = "linux/arm64"

    @property
    def arch(self) -> str:
        return self.value.partition("/")[2]

    @property
    def other(self) -> "Platform":
        """The one of the two that is not this one."""
        return Platform.AMD64 if self is Platform.ARM64 else Platform.ARM64


@unique
class EngineKind(StrEnum):
    """What runs the containers."""

    DOCKER = "docker"
    PROCESS = "process"


@unique
class Runtime(StrEnum):
    """What runs the model, and so which ``model.tar.gz`` a variant needs."""

    TENSORFLOW = "tensorflow"
    ONNX = "onnx"


@unique
class Mark(StrEnum):
    """One time stamp of one event, in the order in which events come. Nanoseconds since the epoch.

    ``BEGIN`` to ``ACCEPTING`` and ``READY`` onwards are taken outside, the rest by the container.
    """

    BEGIN = "begin"
    MOUNT_BEGIN = "mount_begin"
    MOUNT_END = "mount_end"
    PULL_BEGIN = "pull_begin"
    PULL_DOWNLOADED = "pull_downloaded"
    PULL_END = "pull_end"
    FETCH_BEGIN = "fetch_begin"
    FETCH_END = "fetch_end"
    CREATE_BEGIN = "create_begin"
    CREATE_END = "create_end"
    START_BEGIN = "start_begin"
    STARTED = "started"
    INTERPRETER = "interpreter"
    IMPORTS = "imports"
    MODEL_LOADED = "model_loaded"
    WARMED_UP = "warmed_up"
    LISTENING = "listening"
    ACCEPTING = "accepting"
    READY = "ready"
    PREDICT_BEGIN = "predict_begin"
    PREDICTED = "predicted"
    SECOND_BEGIN = "second_begin"
    SECOND_END = "second_end"


@unique
class Phase(StrEnum):
    """The time between two marks, in the order in which phases come."""

    IMAGE_MOUNT = "image_mount"
    IMAGE_PULL = "image_pull"
    IMAGE_UNPACK = "image_unpack"
    MODEL_FETCH = "model_fetch"
    CREATE = "create"
    START = "start"
    BOOT = "boot"
    INTERPRETER = "interpreter"
    IMPORTS = "imports"
    MODEL_LOAD = "model_load"
    SERVE = "serve"
    READY = "ready"
    FIRST_PREDICTION = "first_prediction"


@dataclass(frozen=True)
class PhaseColour:
    """Of a phase, wherever phases are drawn."""

    light: str
    """On a light ground."""
    dark: str
    """On a dark ground."""
    either: str
    """Where the ground is not known: on a terminal, on a board of Grafana's."""


def _alike(colour: str) -> PhaseColour:
    return PhaseColour(colour, colour, colour)


PHASE_COLOURS: Final[Mapping[Phase, PhaseColour]] = {
    Phase.IMAGE_MOUNT: PhaseColour("#004c7a", "#5aa9dd", "#2f7fb8"),
    Phase.IMAGE_PULL: PhaseColour("#0072b2", "#2f8fd0", "#2f8fd0"),
    Phase.IMAGE_UNPACK: _alike("#56b4e9"),
    Phase.MODEL_FETCH: _alike("#009e73"),
    Phase.CREATE: PhaseColour("#66707a", "#6b7580", "#66707a"),
    Phase.START: PhaseColour("#a3abb3", "#8f99a3", "#a3abb3"),
    Phase.BOOT: _alike("#7d6c5d"),
    Phase.INTERPRETER: _alike("#f0e442"),
    Phase.IMPORTS: _alike("#e69f00"),
    Phase.MODEL_LOAD: _alike("#d55e00"),
    Phase.SERVE: _alike("#cc79a7"),
    Phase.READY: _alike("#8a5a9e"),
    Phase.FIRST_PREDICTION: PhaseColour("#20262d", "#e9ecef", "#8fa8c8"),
}
"""Most are of the palette of Okabe and Ito, which the colour-blind tell apart too; the greys and
the brown are what the engine does."""


@dataclass(frozen=True, kw_only=True)
class Tier:
    """The compute a container gets. ``memory_mb`` None is all that the machine has."""

    memory_mb: int | None

    @property
    def name(self) -> str:
        """``2048``, or ``host`` for no limit."""
        return "host" if self.memory_mb is None else str(self.memory_mb)

    @property
    def memory_bytes(self) -> int | None:
        """The cgroup's limit in bytes (MB are MiB, as in Lambda)."""
        return None if self.memory_mb is None else self.memory_mb * 1024 * 1024

    @property
    def cpus(self) -> float | None:
        """The CPU quota in cores: memory / 1769 MB (see ``MB_PER_VCPU``), before the host's cap."""
        return None if self.memory_mb is None else self.memory_mb / MB_PER_VCPU


HOST_TIER: Final = Tier(memory_mb=None)
SERVERLESS_TIERS: Final = tuple(Tier(memory_mb=n * 1024) for n in range(1, 7))
SERVERLESS_USER: Final = "993:990"
"""As whom SageMaker runs a serverless container: user and group."""
