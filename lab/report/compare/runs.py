"""Two runs, cell by cell: what changed, and what else differs between them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from lab.coldstart.record import Cell, Run
from lab.coldstart.summary import RatioFigures, ratio_fields
from lab.errors import UsageError
from lab.report.compare.machines import same_machine
from lab.report.page.facts import lines
from lab.report.rows import MeasuredRow
from lab.report.summary import Results
from lab.report.words import NOTHING
from lab.schema import Frozen
from lab.stats.ratios import RatioVerdict, ratio_of_medians

_SHOWN = 4
_HOST: Final = (
    *("cpu_model", "cpus", "memory_bytes", "os"),
    *("system", "kernel", "machine", "hostname"),
)
_ENGINE: Final = ("kind", "name", "storage_driver", "cgroup_version", "versions")


class Change(RatioFigures):
    """One cell in both runs; ``ratio`` is the second over the first."""

    cell: Cell
    first_s: float
    second_s: float
    first_n: int
    second_n: int


class Difference(Frozen):
    """Something about the runs that is not the same."""

    what: str
    first: str
    second: str


class RunComparison(Frozen):
    """The second run against the first."""

    first: str
    second: str
    container: bool
    changes: Sequence[Change]
    differences: Sequence[Difference]
    only_first: Sequence[Cell]
    only_second: Sequence[Cell]
    different_machines: bool
    """Then a ratio is one of machines as much as of anything else, and says so."""
    emulated: Sequence[Cell]
    """Left out, of either run: their times say nothing of any machine."""

    @property
    def text(self) -> str:
        shown = [one for one in self.changes if one.shown]
        slower = sum(one.ratio > 1 for one in shown)
        count = Counter(one.verdict for one in self.changes)
        told = (
            f"Of {len(self.changes)} cells in both runs, {len(shown) - slower} got quicker, "
            f"{slower} got slower, and {count[RatioVerdict.SAME]} show no difference."
        )
        if count[RatioVerdict.LIKELY]:
            told += f" Of the changes {count[RatioVerdict.LIKELY]} are likely only: few samples."
        if count[RatioVerdict.UNKNOWN]:
            told += f" {count[RatioVerdict.UNKNOWN]} have too few samples to tell."
        if self.different_machines:
            told += " The runs are of different machines: that is in every ratio."
        return told


def compare_runs(first: Results, second: Results) -> RunComparison:
    """Cell by cell, each an independent sample (the runs share no blocks).

    Raises ``UsageError`` when the runs are one and the same, have no measured cell in common, or
    only one of them used containers.
    """
    before, after = first.recorded.run, second.recorded.run
    if first.recorded.folder == second.recorded.folder:
        raise UsageError(
            f"{before.id} cannot be compared with itself.", remedy="Name two different runs."
        )
    if first.summary.run.container is not second.summary.run.container:
        bare = after if first.summary.run.container else before
        raise UsageError(
            f"{bare.id} used plain processes, the other run containers: their starts are not "
            "made of the same phases.",
            remedy="Compare runs of the same engine.",
        )
    old, new = _cells(first), _cells(second)
    common = [cell for cell in old if cell in new]
    emulated = _emulated(first) | _emulated(second)
    if not common:
        left_out = " Emulated cells are left out." if emulated else ""
        if any(one.row.n and one.row.busy for one in (*first.measured, *second.measured)):
            left_out += " So are those that were measured on a busy machine."
        raise UsageError(
            f"{before.id} and {after.id} have no measured cell in common. "
            f"The first has {_list(old)}; the second has {_list(new)}.{left_out}",
            remedy="Compare runs of the same variants, models, tiers and start kinds. To set "
            "platforms or machines side by side: lab report join RUN RUN.",
        )
    return RunComparison(
        first=before.id,
        second=after.id,
        container=first.summary.run.container,
        changes=[_change(cell, old[cell], new[cell], seed=after.seed) for cell in common],
        differences=list(differences(before, after)),
        only_first=[cell for cell in old if cell not in new],
        only_second=[cell for cell in new if cell not in old],
        different_machines=not same_machine(before, after),
        emulated=list(emulated),
    )


def _cells(results: Results) -> Mapping[Cell, MeasuredRow]:
    return {one.row.cell: one for one in results.measured if one.row.n and one.row.timed}


def _emulated(results: Results) -> dict[Cell, None]:
    return {one.row.cell: None for one in results.measured if one.row.emulated}


def _change(cell: Cell, old: MeasuredRow, new: MeasuredRow, *, seed: int) -> Change:
    ratio = ratio_of_medians({0: new.totals}, {0: old.totals}, seed=seed)
    return Change(
        cell=cell,
        first_s=old.row.total_s.p50 or 0.0,
        second_s=new.row.total_s.p50 or 0.0,
        first_n=old.row.n,
        second_n=new.row.n,
        **ratio_fields(ratio),
    )


def differences(before: Run, after: Run) -> Iterator[Difference]:
    """Conditions that are not the same in both runs."""
    old, new = _conditions(before), _conditions(after)
    for what in dict.fromkeys([*old, *new]):
        first, second = old.get(what, NOTHING), new.get(what, NOTHING)
        if first != second:
            yield Difference(what=what, first=first, second=second)


def _conditions(run: Run) -> Mapping[str, str]:
    """What should be the same in both for a difference to mean anything."""
    about = {
        "lab": run.lab_version,
        "commit": (run.git_commit or "unknown")[:12] + (" + changes" if run.git_dirty else ""),
        "bandwidth_bits_per_s": run.bandwidth_bits_per_s,
        "chunk_latency_s": run.chunk_latency_s,
    }
    sections = {
        "": about,
        "base image": run.base_image,
        "host": {key: value for key, value in run.host.items() if key in _HOST},
        "engine": {key: value for key, value in run.engine.items() if key in _ENGINE},
    }
    for image in run.images:
        sections[f"image {image.variant}, {image.platform.arch},"] = {
            "id": (image.digest or image.image_id or "unknown")[:19],
            "compressed_bytes": image.compressed_bytes,
            "unpacked_bytes": image.unpacked_bytes,
        }
    for model in run.models:
        sections[f"model {model.name}, {model.archive}"] = {"": model.sha256[:12]}
    return {
        f"{title} {fact.name}".strip(): fact.value
        for title, values in sections.items()
        for fact in lines(values)
    }


def _list(cells: Mapping[Cell, MeasuredRow]) -> str:
    names = [str(cell) for cell in cells]
    if not names:
        return "no cell with samples"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
