"""A bench for the boards to show: the newest run there is, or a small one made for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lab import paths
from lab.artifacts import store
from lab.coldstart import planfile, runner
from lab.coldstart.folder import RUN_FILE
from lab.coldstart.plan import Plan
from lab.coldstart.prepare import prepared
from lab.errors import LabError, UsageError
from lab.images.variants import BASELINE, DEFAULT, VARIANTS
from lab.observe.grafana import annotate
from lab.observe.runs import push
from lab.observe.runs.readings import following, read
from lab.progress import Progress
from lab.report.formats.write import write_report

BOARDS: Final = "lab-coldstart and lab-compare"
_PLAN: Final = "smoke"
_OVER: Final = {
    # A plan of its own: what is pushed replaces what was pushed of the same plan.
    "name": "demo",
    "variants": [BASELINE, DEFAULT],
    "start_kinds": ["fresh", "ondemand", "pull"],
    # One pull is no statistic, but tells the compressed size: that is the registry's to say. One
    # start on demand tells what is read.
    "repeats": {"fresh": 6, "ondemand": 1, "pull": 1},
    "warm_up": ["fresh"],
}
_ONCE: Final = (
    f"There is no bench with image sizes yet: a small one is made, {BASELINE} against {DEFAULT}."
    " Some minutes, once; --no-bench leaves it out."
)


def newest(runs: Path) -> Path | None:
    """The newest run whose report compares the baseline with something, sizes included.

    None that a later run of the same plan has replaced on the boards already.
    """
    for path in sorted(runs.glob(f"*/{RUN_FILE}"), reverse=True):
        try:
            bench = read(path.parent)
        except UsageError:
            continue
        measured = {row.variant for row in bench.summary.rows if row.image_compressed_bytes}
        shows = BASELINE in measured and len(measured & set(VARIANTS)) > 1
        if shows and following(bench, runs) is None:
            return path.parent
    return None


def provide(progress: Progress, *, may_run: bool) -> str:
    """Have Prometheus know a bench; a line that says which, or which boards stay empty and why."""
    url = push.address()
    if not push.answers(url):
        return f"No Pushgateway answers at {url}: {BOARDS} stay empty."
    folder = newest(paths.runs())
    try:
        if folder is None:
            if not may_run:
                return f"There is no bench yet: {BOARDS} stay empty. Make one: `lab coldstart run`."
            progress.note(_ONCE)
            folder = _made(progress)
        bench = push.push(folder, url=url, runs=paths.runs())
    except LabError as error:
        return f"No bench could be had: {error.what} So {BOARDS} stay empty. {error.remedy}".strip()
    return f"The bench {bench.run.id} is pushed: {BOARDS} show it."


def _made(progress: Progress) -> Path:
    plan = planfile.load(
        planfile.find(_PLAN), over=_OVER, variants=tuple(VARIANTS), models=store.STUDY
    )
    folder = runner.run(plan, prepare=announced, progress=progress)
    write_report(folder.path)
    # Where nothing can be pulled cold, the rest is worth showing; the report says what failed.
    return folder.path


@contextmanager
def announced(plan: Plan, run_id: str, progress: Progress) -> Iterator[runner.Prepared]:
    """Prepared, and from the first start to the last annotated in a Grafana that answers."""
    with prepared(plan, run_id, progress) as ready, annotate.bench(run_id, plan.name, progress):
        yield ready
