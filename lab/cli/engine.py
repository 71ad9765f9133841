"""``lab engine up|down|status``."""

import typer

from lab.cli.console import ConsoleProgress, out
from lab.engine.api import EngineFacts
from lab.engine.docker.engine import DockerEngine
from lab.engine.install.daemon import Daemon
from lab.engine.install.locate import search
from lab.engine.process.engine import ProcessEngine
from lab.engine.select import Choice, choice, open_docker
from lab.errors import EngineUnavailableError
from lab.units import format_bytes

app = typer.Typer(no_args_is_help=True, help="The container engine: found, installed or private.")


@app.command()
def up(
    install: bool = typer.Option(True, help="Install an engine if there is none."),
) -> None:
    """Use the Docker Engine that is there, or install and start a private one."""
    engine = open_docker(ConsoleProgress(), allow_install=install)
    _print(engine.facts())
    engine.close()


@app.command()
def down() -> None:
    """Stop the lab's private engine and its containers; other engines are left alone."""
    daemon = Daemon()
    progress = ConsoleProgress()
    with progress.step("Stopping the private engine"):
        stopped = daemon.stop()
    if stopped:
        out.print(f"Stopped. Its images stay in {daemon.places.data_root}.", soft_wrap=True)
    else:
        out.print("The lab's private engine does not run.")


@app.command()
def status() -> None:
    """Say which engine would be used, and what it is. Exit code 3 when none answers."""
    if choice() is Choice.PROCESS:
        _print(ProcessEngine().facts())
        return
    seen = search()
    for refusal in seen.refused:
        out.print(f"  {refusal.candidate.origin}: {refusal.why}", style="dim", soft_wrap=True)
    if seen.found is None:
        raise EngineUnavailableError(
            "No engine answers.", remedy="`lab engine up` installs and starts a private one."
        )
    engine = DockerEngine(seen.found.address)
    out.print(f"  {seen.found.origin}: answers", soft_wrap=True)
    _print(engine.facts())
    engine.close()


def _print(facts: EngineFacts) -> None:
    out.print(f"[bold]{facts.name}[/bold] at {facts.address}", soft_wrap=True, highlight=False)
    parts = [
        f"{facts.cpus} CPUs",
        format_bytes(facts.memory_bytes),
        facts.platform.value,
        f"cgroup v{facts.cgroup_version}" if facts.cgroup_version else "",
        facts.storage_driver or "",
    ]
    out.print(", ".join(part for part in parts if part), soft_wrap=True, highlight=False)
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    out.print(versions, style="dim", soft_wrap=True, highlight=False)
    for note in facts.notes:
        out.print(f"• {note}", soft_wrap=True, highlight=False)
