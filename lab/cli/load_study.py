"""``lab load study``: the study's warm protocol, its figures and ours beside."""

from dataclasses import dataclass
from typing import Annotated, Final

import typer

from lab import paths
from lab.cli import console
from lab.cli.flags import flags
from lab.errors import UsageError
from lab.loadtest.study import VARIANT, Workers

_SIZES: Final = ("1024", "2048", "3072", "ml.m4.xlarge", "ml.m5.xlarge")


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """The flags of ``lab load study``."""

    size: Annotated[
        list[str] | None,
        typer.Option(
            help="Serverless memory or an instance type; repeatable. Else the study's own of "
            f"x86-64: {', '.join(_SIZES)}."
        ),
    ] = None
    model: Annotated[
        list[str] | None, typer.Option(help="Only this model; repeatable. Else both.")
    ] = None
    variant: Annotated[str, typer.Option(help="What serves it.")] = VARIANT
    workers: Annotated[
        Workers,
        typer.Option(
            help="Processes that serve: as in the study (one up to 1 GB, two above), one "
            "everywhere, or both, which tells what each of memory and workers does."
        ),
    ] = Workers.STUDY
    scale: Annotated[
        float, typer.Option(min=0, max=1, help="Of the 5 s between requests: 0.1 makes it 0.5 s.")
    ] = 1.0
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False


@flags
def study(options: StudyOptions) -> None:
    """Repeat the study's warm protocol: one uncounted request, then 25 in series, 5 s apart.

    Each model at each size, in a container of its own, with the published figures beside. Ctrl-C
    keeps what there is.
    """
    from contextlib import closing

    from lab.artifacts import store
    from lab.engine.select import open_engine
    from lab.loadtest.study import cases, container_of
    from lab.loadtest.study import study as run
    from lab.loadtest.targets.sizes import Size
    from lab.lock import bench_lock
    from lab.report.study.warm import document
    from lab.runfiles import write_whole

    progress = console.ConsoleProgress()
    unknown = sorted(set(options.model or ()) - set(store.models()))
    if unknown:
        raise UsageError(
            f"{unknown[0]} is none of the lab's models.",
            remedy=f"Choose from {', '.join(store.models())}.",
        )
    sizes = [Size.parse(text) for text in options.size or _SIZES]
    wanted = cases(options.model or store.STUDY, sizes, options.workers)
    with closing(open_engine(progress)) as engine, bench_lock("The study's protocol"):
        opened = container_of(engine, progress, variant=options.variant)
        result = run(
            opened, wanted, variant=options.variant, scale=options.scale, progress=progress
        )
    found = document(result)
    page = write_whole(paths.runs() / result.id / "report.md", found.to_markdown())
    if options.as_json:
        typer.echo(result.to_json(), nl=False)
        return
    console.out.print(found.to_terminal())
    console.print_line(f"\nReport: {page}")
