"""``lab observe push``, ``replay`` and ``metrics``: runs of the bench for Prometheus."""

from pathlib import Path

import typer

from lab import paths
from lab.cli.console import ConsoleProgress, fail, out
from lab.cli.files import save
from lab.coldstart.folder import RunFolder
from lab.engine.install.locate import find_engine
from lab.engine.select import Choice, choice
from lab.errors import UsageError


def push(
    run: str = typer.Argument("latest", help="A run's id, its folder, or latest."),
) -> None:
    """Give the Pushgateway a run's figures, as if it had just ended."""
    from lab.observe.runs import push as pushing

    url = pushing.address()
    bench = pushing.push(RunFolder.find(run).path, url=url, runs=paths.runs())
    _line(f"{bench.run.id}: pushed to {url} as the newest run of {bench.run.plan_name}.")


def replay(
    run: list[str] = typer.Argument(..., help="Runs' ids, their folders, or latest."),
    prometheus: str | None = typer.Option(
        None, "--prometheus", help="Its URL; the stack's own if not given."
    ),
    file: Path | None = typer.Option(
        None, "--out", help="Only write this file, as OpenMetrics: for any other Prometheus."
    ),
) -> None:
    """Bring past runs into Prometheus at the times when they happened. A second time does nothing.

    Each start is there as lab_bench_trial_start_seconds, and the run's figures for an hour after
    its end, or until the next run of its plan.
    """
    from lab.observe.render.prometheus import Prometheus
    from lab.observe.runs import replay as replaying

    folders = [RunFolder.find(name).path for name in run]
    if file is not None:
        if len(folders) > 1:
            raise UsageError("--out holds one run.", remedy="Replay one run at a time.")
        save(file, replaying.to_text(folders[0], runs=paths.runs()))
        _line(f"OpenMetrics: {file}")
        return
    docker = _docker()
    with Prometheus(prometheus or replaying.address()) as server:
        for folder in folders:
            done = replaying.replay(
                folder,
                runs=paths.runs(),
                prometheus=server,
                docker=docker,
                progress=ConsoleProgress(),
            )
            if done.new:
                _line(
                    f"{done.bench.run.id}: {done.samples} samples in {len(done.blocks)} block(s), "
                    f"put into {done.place}; {server.url} answers with them."
                )
            else:
                _line(f"{done.bench.run.id}: is there already.")


def metrics(
    check: bool = typer.Option(
        False, "--check", help="Write nothing; fail if docs/metrics.md is not what the code makes."
    ),
) -> None:
    """Write docs/metrics.md: every metric, its labels, and where it comes from."""
    from lab.observe.metrics_page import page

    name = page.FILE.relative_to(paths.ROOT)
    text = page.render()
    if check:
        if not page.FILE.is_file() or page.FILE.read_text(encoding="utf-8") != text:
            fail(f"{name} is not what the code makes.", "Write it: `lab observe metrics`.")
            raise typer.Exit(1)
        _line(f"{name} is what the code makes.")
        return
    page.FILE.write_text(text, encoding="utf-8")
    _line(f"Wrote {name}.")


def _docker() -> str | None:
    """The engine's address, if one answers: nothing is installed or started."""
    engine = None if choice() is Choice.PROCESS else find_engine()
    if engine is None:
        return None
    try:
        return engine.address
    finally:
        engine.close()


def _line(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)
