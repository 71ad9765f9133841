"""The stack on a Docker Engine."""

from collections.abc import Sequence
from typing import Final

from lab.artifacts.build import trainer
from lab.engine.docker import clean
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.held import hold
from lab.engine.registry.local import NAME as REGISTRY
from lab.engine.registry.local import NETWORK, ensure_volume, make_way
from lab.images import build, thirdparty
from lab.images.targets import target
from lab.lock import bench_lock
from lab.observe.grafana import secret
from lab.progress import Progress
from lab.services import ISOLATED_NETWORK, PROJECT, SERVICES, Started
from lab.spec import LABEL_OWNER, LABEL_ROLE
from lab.stack import dotenv, ports
from lab.stack.compose import LABEL_PROJECT, Compose, have_compose
from lab.stack.identity import identity
from lab.stack.settings import StackSettings

VOLUMES: Final = (REGISTRY, *(f"{PROJECT}-{name}" for name in ("s3", "prometheus", "grafana")))

_ROLE: Final = "endpoint"
"""Of model containers."""
_OTHERS: Final = ("registry", "s3", "prometheus", "pushgateway", "grafana")
_INSTEAD: Final = {"grafana": " `lab observe render` draws its boards."}

_EMPTY: Final = """
import os, shutil, sys
for entry in os.scandir(sys.argv[1]):
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry)
    else:
        os.unlink(entry)
"""


class Containers:
    """Services as containers, by Compose."""

    def __init__(self, engine: DockerEngine, settings: StackSettings, progress: Progress) -> None:
        self._engine = engine
        self._settings = settings
        self._progress = progress
        self._platform = engine.facts().platform
        self._compose = Compose(engine, settings)
        self._found: dict[str, thirdparty.Provenance] = {}

    def prepare(self) -> None:
        """Have the images, the networks and the registry's volume; see that the ports are free."""
        have_compose(self._progress)
        own = ["endpoint", "coldhost", self._settings.variant, *trainer(self._settings.models)]
        wanted = [target(name) for name in (*own, *filter(self._wants, _OTHERS))]
        self._found = dict(
            build.ensure_all(
                wanted, platform=self._platform, engine=self._engine, progress=self._progress
            )
        )
        for name, one in self._found.items():
            if one.source is None:
                instead = _INSTEAD.get(name, "")
                self._progress.note(f"{name} is left out: {one.detail}.{instead}")
        self._engine.ensure_network(NETWORK)
        self._engine.ensure_network(ISOLATED_NETWORK, internal=True)
        ensure_volume(self._engine)
        self._settings.state.mkdir(parents=True, exist_ok=True)
        secret.admin_password(self._settings.state / "secrets")
        self._make_way()
        self._check_ports()

    def start_store(self) -> None:
        """What must be there before the emulator: it goes on with its endpoints at once."""
        stores = [name for name in ("registry", "s3") if self._wants(name)]
        self._compose.up(stores, self._progress)

    def start_rest(self) -> None:
        """The emulator, and what watches it."""
        self._compose.up(["endpoint", *self._watchers()], self._progress)
        self._compose.leave_variables(self._progress)

    def started(self) -> Sequence[Started]:
        """What runs, and what it was made from."""
        env = self._settings.env
        rows = [
            Started(
                service=SERVICES["endpoint"],
                url=SERVICES["endpoint"].url(env),
                origin="the lab itself",
            )
        ]
        if self._settings.foreign_s3:
            rows.append(_foreign(self._settings.foreign_s3))
        for name, one in self._found.items():
            how = {"registry": "pulled: ", "packages": "built from ", None: ""}[one.source]
            url = SERVICES[name].url(env) if one.source else None
            rows.append(Started(service=SERVICES[name], url=url, origin=f"{how}{one.detail}"))
        return rows

    def stop(self) -> int:
        """Stop everything, model containers included; how many of those Compose had not stopped."""
        have_compose(self._progress)
        self._compose.down(self._progress)
        dotenv.remove(self._settings.state)
        mine = identity(self._settings.state)
        left = (
            self._engine.containers({LABEL_ROLE: _ROLE, LABEL_OWNER: mine})
            if mine is not None
            else []
        )
        for container in left:
            container.remove()
        return len(left)

    def forget(self) -> Sequence[str]:
        """After ``stop``: the registry if a bench left it, networks and volumes; what stays."""
        make_way(self._engine, LABEL_PROJECT)
        mine = identity(self._settings.state)
        if mine is not None:
            hold(self._engine, mine, ())  # what its endpoints were deployed with
        return clean.remove_stores(
            self._engine, networks=(NETWORK, ISOLATED_NETWORK), volumes=VOLUMES
        )

    def empty_state(self) -> None:
        """Remove what the emulator wrote as root and this user may not remove."""
        self._compose.run_once("endpoint", "python3", "-c", _EMPTY, str(self._settings.state))

    def _wants(self, name: str) -> bool:
        return name != "s3" or self._settings.foreign_s3 is None

    def _watchers(self) -> Sequence[str]:
        return [
            name
            for name, one in self._found.items()
            if one.source is not None and name not in {"registry", "s3"}
        ]

    def _make_way(self) -> None:
        """For Compose's registry, in place of a bench's; not while a bench pulls from it."""
        labels = {LABEL_ROLE: "registry", LABEL_OWNER: "registry"}
        there = [one for one in self._engine.containers(labels) if one.name == REGISTRY]
        if any(LABEL_PROJECT not in one.labels for one in there):
            with bench_lock("lab up"):
                make_way(self._engine, LABEL_PROJECT)

    def _check_ports(self) -> None:
        ours = {port for published in self._compose.running().values() for port in published}
        env = self._settings.env
        names = ["endpoint", *(n for n in ("registry", "s3") if self._wants(n)), *self._watchers()]
        wanted = [SERVICES[name] for name in names if SERVICES[name].port(env) not in ours]
        ports.refuse_taken(wanted, env=env, docker=self._engine.address)


def _foreign(url: str) -> Started:
    return Started(service=SERVICES["s3"], url=url, origin="AWS_ENDPOINT_URL_S3")
