"""The only caller of ``docker compose``."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lab.engine.docker.engine import DockerEngine
from lab.engine.install.packages import Tool, advice, ensure, has
from lab.engine.select import Choice, choice
from lab.errors import CommandError, EndpointError, EngineError, UsageError
from lab.paths import IN_CHECKOUT, ROOT
from lab.process import run, stream
from lab.progress import Progress
from lab.services import PROJECT, SERVICES
from lab.spec import Platform
from lab.stack import dotenv
from lab.stack.settings import StackSettings

FILE: Final = ROOT / "compose.yaml"
LABEL_PROJECT: Final = "com.docker.compose.project"

_UNIX: Final = "unix://"
_SYSTEM_SOCKET: Final = "/var/run/docker.sock"
_WAIT_S: Final = 180
_STOP_S: Final = 75
_LOG_LINES: Final = 12
_EMULATOR_CPUS: Final = 2
_NOWHERE: Final = "http://127.0.0.1:9/"
"""For alerts that nobody wants to be sent: Grafana takes no empty address."""


class Compose:
    """The stack's file, with its variables filled in."""

    def __init__(self, engine: DockerEngine, settings: StackSettings) -> None:
        facts = engine.facts()
        self._env = environment(engine.address, settings, platform=facts.platform, cpus=facts.cpus)

    def running(self) -> Mapping[str, Sequence[int]]:
        """The services that run, each with the ports that it is published at."""
        found = {}
        for line in self._run("ps", "--format", "json").splitlines():
            row: dict[str, Any] = json.loads(line)
            if row.get("State") == "running":
                ports = [part.get("PublishedPort", 0) for part in row.get("Publishers") or ()]
                found[str(row["Service"])] = [port for port in ports if port]
        return found

    def up(self, services: Sequence[str], progress: Progress) -> None:
        """Start them, and wait until each is healthy. Nothing happens to those that are."""
        with progress.step(f"Starting {', '.join(services)}") as step:
            wait = ("--wait", "--wait-timeout", str(_WAIT_S), "--no-deps", "--no-build")
            try:
                stream(
                    [*_command(), "up", "--detach", *wait, *services],
                    on_line=step.detail,
                    env=self._env,
                )
            except CommandError as error:
                raise self._failed(error, services) from error

    def down(self, progress: Progress) -> None:
        """Stop and remove the services' containers; volumes and networks stay."""
        with progress.step("Stopping the stack") as step:
            stream(
                [*_command(), "down", "--timeout", str(_STOP_S)], on_line=step.detail, env=self._env
            )

    def leave_variables(self, progress: Progress) -> None:
        """For ``docker compose ps`` and ``logs``, typed in the checkout."""
        if IN_CHECKOUT and dotenv.write(self._env) is None:
            progress.note(
                f"{ROOT / dotenv.NAME} is not the lab's to write: `docker compose ps`, typed "
                "there, will not know the stack's variables."
            )

    def run_once(self, service: str, program: str, *words: str) -> None:
        """Run a program in a container like the service's, and remove it."""
        only = ("run", "--rm", "--no-deps", "--entrypoint", program)
        self._run(*only, service, *words)

    def _failed(self, error: CommandError, services: Sequence[str]) -> EndpointError:
        said = error.what.splitlines()
        for name in services:
            container = f"{PROJECT}-{name}"
            if any(container in line and "unhealthy" in line for line in said) or any(
                f"{container} exited" in line for line in said
            ):
                last = run(
                    ["docker", "logs", "--tail", str(_LOG_LINES), container],
                    env=self._env,
                    check=False,
                )
                return EndpointError(
                    f"{name} did not get ready:\n{(last.stdout + last.stderr).strip()}",
                    remedy=f"See `docker logs {container}`, then run it again.",
                )
        return EndpointError(
            f"The stack could not be started: {error.what}",
            remedy="Run it again: what has started is kept.",
        )

    def _run(self, *words: str) -> str:
        return run([*_command(), *words], env=self._env).stdout


def have_compose(progress: Progress) -> None:
    """Installed where that is allowed. Raises ``EngineError``."""
    if has(Tool.COMPOSE) and has(Tool.CLIENT):
        return
    if choice() is Choice.EXTERNAL:
        raise EngineError(
            "docker compose is not installed, and LAB_ENGINE=external forbids to install it.",
            remedy=advice([Tool.CLIENT, Tool.COMPOSE]),
        )
    ensure([Tool.CLIENT, Tool.COMPOSE], progress)


def environment(
    address: str, settings: StackSettings, *, platform: Platform, cpus: int
) -> Mapping[str, str]:
    """Every variable of ``compose.yaml``: none is left to what the user's shell happens to hold."""
    env = settings.env
    foreign = settings.foreign_s3
    own = {"LAB_S3_ACCESS_KEY_ID": "test", "LAB_S3_SECRET_ACCESS_KEY": "test"}
    users = {
        "LAB_S3_ACCESS_KEY_ID": env.get("AWS_ACCESS_KEY_ID") or "test",
        "LAB_S3_SECRET_ACCESS_KEY": env.get("AWS_SECRET_ACCESS_KEY") or "test",
        "LAB_S3_SESSION_TOKEN": env.get("AWS_SESSION_TOKEN") or "",
    }
    return {
        "DOCKER_HOST": address,
        "DOCKER_CONTEXT": "",
        "COMPOSE_PROFILES": "grafana",
        "COMPOSE_FILE": "",
        "COMPOSE_PROJECT_NAME": "",
        "LAB_PROJECT": PROJECT,
        "LAB_ARCH": platform.arch,
        "LAB_STATE": str(settings.state),
        "LAB_SOCKET": socket_of(address),
        # An engine refuses a container that may use more processors than it has.
        "LAB_ENDPOINT_CPUS": str(min(_EMULATOR_CPUS, cpus)),
        **{one.variable: str(one.port(env)) for one in SERVICES.values()},
        "LAB_REGION": settings.region,
        "LAB_ACCOUNT": settings.account,
        **settings.passed_on,
        "LAB_ALERT_URL": env.get("LAB_ALERT_URL") or _NOWHERE,
        "LAB_S3_URL": settings.addresses.s3,
        "LAB_S3_INSIDE": foreign or "http://s3:5000",
        "LAB_S3_SESSION_TOKEN": "",
        **(users if foreign else own),
    }


def socket_of(address: str) -> str:
    """The engine's socket as a container of the engine can mount it. Raises ``UsageError``."""
    if not address.startswith(_UNIX):
        raise UsageError(
            f"The engine at {address} is on another machine, or hides its socket: the emulator "
            "must share a folder with it.",
            remedy="Use an engine on this machine (unset DOCKER_HOST), or LAB_ENGINE=process.",
        )
    path = address.removeprefix(_UNIX)
    desktop = Path(os.environ.get("HOME", "/nonexistent")) / ".docker"
    # Docker Desktop's is outside of its virtual machine; inside, it is where it always is.
    return _SYSTEM_SOCKET if Path(path).is_relative_to(desktop) else path


def _command() -> Sequence[str | Path]:
    files = ("--file", FILE, "--env-file", "/dev/null", "--progress", "plain")
    return ("docker", "compose", "--project-name", PROJECT, *files)
