"""What the rules are given, and what they say."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Self

from lab.advice.contents import Contents
from lab.advice.costs import FILE_BYTES, PullSeconds
from lab.advice.imports import ImportTime
from lab.advice.recording import Recording
from lab.images.layers.looked import Library
from lab.images.layers.packages import Package
from lab.schema import Frozen
from lab.spec import Platform


@unique
class AdviceKind(StrEnum):
    """What is to be spared."""

    INSTALLED_AT_START = "installed_at_start"
    HIDDEN = "hidden_by_a_later_layer"
    LEFT_OVER = "left_over"
    CPU_BUILD = "cpu_build"
    CUDA = "cuda_libraries"
    HEADLESS = "headless_build"
    JDK = "jdk"
    COMPILER = "compiler"
    NODE_DEVELOPMENT = "node_development"
    TWO_COPIES = "two_copies"
    UNREAD_PACKAGE = "unread_package"
    UNREAD_DEPENDENCY = "unread_dependency"
    UNREAD_FOLDER = "unread_folder"
    UNREAD_PART = "unread_part"
    TESTS = "tests"
    HEADERS = "headers"
    STATIC_LIBRARIES = "static_libraries"
    DEBUG_SYMBOLS = "debug_symbols"
    DOCUMENTATION = "documentation"
    LOCALES = "locales"
    BYTE_CODE = "byte_code"
    UNUSED_IMPORT = "unused_import"
    HTTP_STACK = "http_stack"
    FIRST_REQUEST = "loaded_in_first_request"
    WORKERS = "worker_per_processor"
    BAKED_WEIGHTS = "baked_weights"


@unique
class Confidence(StrEnum):
    """How sure it is that nothing misses it."""

    CERTAIN = "certain"
    """Nothing can: it is not seen, or is there again without it."""
    LIKELY = "likely"
    """The recorded run did not, and nothing that it used says that it needs it."""
    TRY = "try"
    """The recorded run did not; something that it used says that it might, or it is replaced."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """What bytes cost a pull, in seconds; what a file costs on demand the recording tells."""

    download_s: float
    """For each compressed byte."""
    unpack_s: float
    """For each unpacked byte; a file counts ``FILE_BYTES`` besides."""

    @classmethod
    def of(cls, contents: Contents, pull: PullSeconds) -> Self:
        """From a pull of the whole image."""
        hidden = [one for layer in contents.layers for one in layer.hidden]
        seen = contents.entries.values()
        compressed = sum(one.compressed for one in seen) + sum(one.compressed for one in hidden)
        sizes = [*(one.size for one in seen), *(one.size for one in hidden)]
        return cls(
            download_s=pull.download_s / (compressed or 1),
            unpack_s=pull.unpack_s / (sum(sizes) + len(sizes) * FILE_BYTES or 1),
        )

    def pull_s(self, *, compressed: int, unpacked: int, files: int) -> float:
        """Downloaded and unpacked before the start."""
        weight = unpacked + files * FILE_BYTES
        return self.download_s * compressed + self.unpack_s * weight


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """All that the rules look at."""

    contents: Contents
    recording: Recording
    rates: Rates
    imports: Mapping[Package, ImportTime] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    """By path: the image's own programs that the run opened, requirements, Node's lists."""
    libraries: Mapping[str, Library] = field(default_factory=dict)
    """By path, of large ones."""
    processes: Mapping[str, int] = field(default_factory=dict)
    """How many of each name ran once it was ready."""
    cpus: int | None = None
    """Of the machine on which they were counted."""

    @property
    def platform(self) -> Platform:
        return self.recording.platform


Rewrite = Callable[[str], str | None]
"""A step's shell command to a better one, empty where the step goes; None where it cannot be told
how."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a rule found. The figures are made of ``takes`` in one place, for all rules alike."""

    kind: AdviceKind
    title: str
    """Imperative, without a full stop."""
    seen: str
    """A sentence."""
    todo: str
    """Imperative sentences."""
    takes: Mapping[str, int] = field(default_factory=dict)
    """Bytes that would go, unpacked, by path."""
    drops: Collection[tuple[int, str]] = ()
    """Layers, and the words by which their steps ask for a package, that would go."""
    takes_read: bool = True
    """What goes of a read file was read like the rest of it."""
    hidden: Sequence[int] = ()
    """Layers whose hidden bytes would go too."""
    claims: bool = True
    """What it takes is not told again by a later rule."""
    show: Sequence[str] = ()
    """Folders or files to name, in place of the largest that it takes."""
    rewrites: Mapping[int, Rewrite] = field(default_factory=dict)
    """By layer."""
    lines: Sequence[str] = ()
    """A patch that is no step's: lines with ``-`` or ``+``."""
    import_s: float = 0.0
    """Seconds of importing that would go."""
    moved_s: float = 0.0
    """Seconds that would go from the first request to the start."""
    urgent: bool = False
    """To be done whatever it saves."""
    confidence: Confidence = Confidence.LIKELY
    risk: str = ""
    """A sentence."""


class Saving(Frozen):
    """What a change takes off, seconds estimated from bytes at the rates that the report tells."""

    files: int
    unpacked_bytes: int
    compressed_bytes: int
    read_bytes: int
    """Fetched of it by the recorded start, before the first prediction."""
    pull_s: float
    ondemand_s: float | None
    """None where what was fetched was not seen."""
    import_s: float = 0.0
    """Counts for either."""
    moved_s: float = 0.0
    """From the first request to the start: saves the first caller's time, not the start's."""

    @property
    def pulled_start_s(self) -> float:
        return self.pull_s + self.import_s

    @property
    def ondemand_start_s(self) -> float | None:
        return None if self.ondemand_s is None else self.ondemand_s + self.import_s

    @property
    def seconds(self) -> float:
        """Of the kind of start that it shortens most."""
        return max(self.pulled_start_s, self.ondemand_start_s or 0.0)


class Advice(Frozen):
    """One thing to do."""

    kind: AdviceKind
    title: str
    seen: str
    paths: Sequence[str]
    """The largest files, or the folders, that it is about."""
    packages: Sequence[str]
    layers: Sequence[int]
    """Which layers hold it; counts from 1."""
    saves: Saving
    todo: str
    patch: str | None
    """Of the step, as a diff; None where the words must do."""
    confidence: Confidence
    risk: str
    urgent: bool


class StepPatch(Frozen):
    """All changes to one step."""

    layer: int
    patch: str
