"""Images and recordings written by hand, for rules to look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lab.advice.contents import ContentLayer, Contents, Entry, EntryKind, Hidden
from lab.advice.imports import ImportTime
from lab.advice.recording import Answer, ChunkCount, FileRead, Recording, Stage
from lab.advice.rules.image import Image
from lab.advice.rules.model import Advice, Inputs, Rates
from lab.advice.rules.table import Rule, advise
from lab.images.layers.looked import Library
from lab.images.layers.packages import Package
from lab.spec import Platform

MB = 1_000_000
SITE = "/opt/venv/lib/python3.13/site-packages"
RATES = Rates(download_s=1e-8, unpack_s=2e-8)
WAIT_S = 4e-8


@dataclass
class Made:
    """An image that grows by a line at a time; a quarter of all bytes is left when compressed."""

    commands: Sequence[str] = ("RUN pip install flask",)
    platform: Platform = Platform.AMD64
    history: Sequence[Mapping[str, object]] = ()
    env: Sequence[str] = ()
    texts: dict[str, str] = field(default_factory=dict)
    libraries: dict[str, Library] = field(default_factory=dict)
    imports: dict[Package, ImportTime] = field(default_factory=dict)
    processes: dict[str, int] = field(default_factory=dict)
    cpus: int | None = None
    depends: dict[Package, Sequence[Package]] = field(default_factory=dict)
    views: Sequence[str] = ("blocks", "calls")
    waited_first_s: float = 0.0
    entries: dict[str, Entry] = field(default_factory=dict)
    reads: dict[str, FileRead] = field(default_factory=dict)
    hidden: dict[int, list[Hidden]] = field(default_factory=dict)

    def file(
        self,
        path: str,
        size: int = MB,
        *,
        package: Package = ("", "/opt"),
        layer: int = 1,
        read: Stage | None = None,
    ) -> "Made":
        """``read``: opened first in that stage, and fetched whole."""
        self.entries[path] = Entry(
            path=path,
            kind=EntryKind.FILE,
            size=size,
            compressed=size // 4,
            layer=layer,
            mode=0o644,
            package=package,
        )
        if read is not None:
            self.reads[path] = FileRead(
                path=path,
                first=read,
                opened=True,
                block_bytes={read: size},
                waited_s={read: size * WAIT_S},
            )
        return self

    def opened(self, path: str, stage: Stage = Stage.READY) -> "Made":
        """What the image may lack."""
        self.reads[path] = FileRead(path=path, first=stage, opened=True)
        return self

    def looked_at(self, path: str) -> "Made":
        self.reads[path] = FileRead(path=path, first=Stage.READY, opened=False)
        return self

    def covered(self, path: str, size: int, *, layer: int, by: int, removed: bool = True) -> "Made":
        self.hidden.setdefault(layer, []).append(
            Hidden(path=path, size=size, compressed=size // 4, by_layer=by, removed=removed)
        )
        return self

    def _of(self, layer: int) -> list[Entry]:
        return [one for one in self.entries.values() if one.layer == layer]

    def inputs(self) -> Inputs:
        layers = [
            ContentLayer(
                number=number,
                command=command,
                unpacked_bytes=sum(one.size for one in self._of(number)),
                compressed_bytes=sum(one.compressed for one in self._of(number)),
                compressed_known=True,
                hidden=self.hidden.get(number, []),
            )
            for number, command in enumerate(self.commands, 1)
        ]
        history = self.history or [{"created_by": command} for command in self.commands]
        contents = Contents(
            image="own",
            image_id="sha256:0",
            config={"config": {"Env": list(self.env)}, "history": list(history)},
            layers=layers,
            entries=dict(sorted(self.entries.items())),
            depends=self.depends,
        )
        return Inputs(
            contents=contents,
            recording=recording(self.reads, self.platform, self.views, self.waited_first_s),
            rates=RATES,
            imports=self.imports,
            texts=self.texts,
            libraries=self.libraries,
            processes=self.processes,
            cpus=self.cpus,
        )

    def asked(self, rule: Rule) -> list[Advice]:
        """What one rule alone says."""
        image = Image(self.inputs())
        return [image.advice(found) for found in rule(image)]

    def advice(self) -> Sequence[Advice]:
        """What all say."""
        return advise(self.inputs()).advice

    def but(self, **changes: object) -> "Made":
        return replace(self, **changes)  # type: ignore[arg-type]


def recording(
    reads: Mapping[str, FileRead],
    platform: Platform = Platform.AMD64,
    views: Sequence[str] = ("blocks", "calls"),
    waited_first_s: float = 0.0,
    answers: Sequence[Answer] = (),
) -> Recording:
    return Recording(
        image="own",
        image_id="sha256:0",
        platform=platform,
        emulated=False,
        lab_version="0",
        recorded_at="2026-01-01T00:00:00Z",
        views=views,
        files=[reads[path] for path in sorted(reads)],
        missed=(),
        answers=answers,
        chunks={
            Stage.READY: ChunkCount(chunks=10, bytes=10 << 19, waited_s=1.0),
            Stage.FIRST: ChunkCount(chunks=1, bytes=1 << 19, waited_s=waited_first_s),
        },
    )


def python(name: str) -> Package:
    return "Python", name


def debian(name: str) -> Package:
    return "Debian", name
