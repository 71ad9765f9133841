"""The table of what an image holds: a row for each package or folder, by the seconds it costs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lab.advice.contents import Contents, Entry, EntryKind
from lab.advice.costs import HIDDEN
from lab.advice.imports import ImportTime
from lab.advice.recording import FileRead, Recording, Stage
from lab.images.layers.packages import Package

_ORDER = list(Stage)


@dataclass(frozen=True, kw_only=True)
class PackageRow:
    """A package, a folder of what came with none, or what no container sees. Bytes and seconds."""

    package: Package
    size: int
    compressed: int
    files: int
    layers: Sequence[int]
    """Those that its files come from."""
    largest: str
    """The path of its largest file; says more of a folder than its name does."""
    touched: Stage | None
    """When any of its files was first opened or looked at; None: never."""
    opened: Stage | None
    """When any was first opened."""
    opened_files: int
    opened_bytes: int
    """Of these files as a whole."""
    read_bytes: int
    """What was fetched of them; 0 also where blocks were not seen."""
    imports: ImportTime | None
    """None where nothing of it was imported, or nobody looked."""
    pull_s: float | None
    ondemand_s: float | None
    """None where it was not measured."""

    @property
    def import_s(self) -> float | None:
        return None if self.imports is None else self.imports.self_s

    @property
    def seconds(self) -> float:
        """What it costs the kind of start that it costs most: it comes, and it is imported."""
        return max(self.pull_s or 0.0, self.ondemand_s or 0.0) + (self.import_s or 0.0)


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds by package, as ``lab.advice.costs`` and ``lab.advice.imports`` have them; None: not
    measured.
    """

    pull: Mapping[Package, float] | None = None
    ondemand: Mapping[Package, float] | None = None
    imports: Mapping[Package, ImportTime] | None = None


def package_rows(contents: Contents, recording: Recording, costs: Costs) -> Sequence[PackageRow]:
    """All rows, those first that cost most. What has a cost and no file (Python's built-in modules)
    has a row as well.
    """
    entries: dict[Package, list[Entry]] = {}
    for entry in contents.entries.values():
        if entry.kind is not EntryKind.FOLDER:
            entries.setdefault(entry.package, []).append(entry)
    for package in (*(costs.ondemand or ()), *(costs.imports or ())):
        entries.setdefault(package, [])
    touched = recording.touched()
    rows = [_row(package, those, touched, costs) for package, those in entries.items()]
    if any(layer.hidden for layer in contents.layers):
        rows.append(_hidden(contents, costs))
    return sorted(rows, key=lambda row: (-row.seconds, -row.size, row.package))


def _row(
    package: Package, entries: Sequence[Entry], touched: Mapping[str, FileRead], costs: Costs
) -> PackageRow:
    files = [one for one in entries if one.kind is EntryKind.FILE]
    reads = [(one, touched[one.path]) for one in entries if one.path in touched]
    opened = [(one, read) for one, read in reads if read.opened]
    largest = max(files, key=lambda one: one.size, default=None)
    return PackageRow(
        package=package,
        size=sum(one.size for one in files),
        compressed=sum(one.compressed for one in files),
        files=len(files),
        layers=sorted({one.layer for one in entries}),
        largest="" if largest is None else largest.path,
        touched=_first(read for _, read in reads),
        opened=_first(read for _, read in opened),
        opened_files=len(opened),
        opened_bytes=sum(one.size for one, _ in opened),
        read_bytes=sum(read.read_bytes for _, read in reads),
        imports=None if costs.imports is None else costs.imports.get(package),
        pull_s=None if costs.pull is None else costs.pull.get(package, 0.0),
        ondemand_s=None if costs.ondemand is None else costs.ondemand.get(package, 0.0),
    )


def _hidden(contents: Contents, costs: Costs) -> PackageRow:
    hidden = [(layer.number, one) for layer in contents.layers for one in layer.hidden]
    return PackageRow(
        package=HIDDEN,
        size=sum(one.size for _, one in hidden),
        compressed=sum(one.compressed for _, one in hidden),
        files=len(hidden),
        layers=sorted({number for number, _ in hidden}),
        largest=max(hidden, key=lambda pair: pair[1].size)[1].path,
        touched=None,
        opened=None,
        opened_files=0,
        opened_bytes=0,
        read_bytes=0,
        imports=None,
        pull_s=None if costs.pull is None else costs.pull.get(HIDDEN, 0.0),
        ondemand_s=None if costs.ondemand is None else 0.0,
    )


def _first(reads: Iterable[FileRead]) -> Stage | None:
    return min((read.first for read in reads), key=_ORDER.index, default=None)
