"""The lab's servers beside two of others' that serve the same model, all in one interleaved run.

Each server is a container (or a process) of its own with the same limits, and idle while another
one is measured. A round runs every arm once, in a random order: each server over HTTP, serially and
with several clients, and for the lab's own the same decode and model without HTTP, inside that very
container. What is judged are ratios and differences within a round, summarised over the rounds.
"""

import os
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum, unique
from pathlib import Path, PurePosixPath
from typing import Any, Final

from lab.artifacts import archive, build, store
from lab.bench.figures import Figure, figure_of, keep
from lab.bench.serving import ServeBenchOptions, run_inside
from lab.engine.api import ContainerSpec, Engine, Mount
from lab.engine.docker.owned import sweep
from lab.engine.process.engine import ProcessEngine
from lab.engine.select import open_docker
from lab.images.build import ensure as ensure_images
from lab.images.variants import image_ref
from lab.images.venvs import inference_module
from lab.load.clients import Block, LoadTarget, run_block
from lab.lock import bench_lock
from lab.progress import Progress
from lab.spec import LABEL_OWNER, LABEL_ROLE, EngineKind, Runtime
from lab.start.serving import Served, serving

OVERHEAD_S: Final = 0.0005
"""What HTTP may add at most to a request alone."""
OF_INPROCESS: Final = 0.97
OF_FASTAPI: Final = 1.1
"""Requests/s with several clients, at least."""

OWN: Final = ("onnx", "onnx-slim")
FASTAPI: Final = "fastapi"
PEERS: Final[Mapping[str, str]] = {
    FASTAPI: "FastAPI, Uvicorn, Gunicorn",
    "flask": "NGINX, Gunicorn, Flask",
}
"""What ``services/peers/serve.py`` serves, and how to say it."""

_IMAGE: Final = "peers"
_INSIDE: Final = "/bench/payload"
_READY_TIMEOUT_S: Final = 120.0


@unique
class Way(StrEnum):
    """How the servers run."""

    CONTAINERS = "containers"
    PROCESSES = "processes"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One block of a round: a server over HTTP, or the model alone beside it."""

    server: str
    http: bool
    clients: int


RunArm = Callable[[Arm], Block]
Round = Mapping[Arm, Block]


def arms(clients: int) -> Sequence[Arm]:
    """Every arm of a round."""
    servers = [(name, True) for name in (*OWN, *PEERS)] + [(name, False) for name in OWN]
    return [
        Arm(server=name, http=http, clients=several)
        for name, http in servers
        for several in (1, clients)
    ]


def measure(
    run_arm: RunArm, options: ServeBenchOptions, on_round: Callable[[int], None]
) -> Sequence[Round]:
    """Run ``rounds`` rounds after one that is thrown away as warm-up."""
    order = random.Random(options.seed)
    rounds = []
    for number in range(options.rounds + 1):
        turn = list(arms(options.clients))
        order.shuffle(turn)
        rounds.append({arm: run_arm(arm) for arm in turn})
        on_round(number)
    return rounds[1:]


@dataclass(frozen=True, kw_only=True)
class Target:
    """One thing that a server of the lab's is to reach."""

    server: str
    what: str
    figure: Figure
    limit: float
    at_least: bool
    scale: float = 1.0
    """What the figure is shown times."""

    @property
    def reached(self) -> bool:
        value = self.figure.value
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True, kw_only=True)
class Row:
    """A server's medians over the rounds: seconds, requests/s, ratios to FastAPI's."""

    server: str
    http: bool
    p50_s: float
    rps: float
    p50_of_fastapi: Figure
    rps_of_fastapi: Figure


@dataclass(frozen=True, kw_only=True)
class PeersResult:
    """All rows, and what the lab's servers were to reach."""

    way: Way
    rows: Sequence[Row]
    targets: Sequence[Target]


def summarise(rounds: Sequence[Round], *, clients: int, way: Way) -> PeersResult:
    """Medians over the rounds; differences and ratios are formed within each round first."""

    def p50s(server: str, *, http: bool = True) -> Sequence[float]:
        arm = Arm(server=server, http=http, clients=1)
        return [statistics.median(one[arm].latencies_s) for one in rounds]

    def rates(server: str, *, http: bool = True) -> Sequence[float]:
        arm = Arm(server=server, http=http, clients=clients)
        return [one[arm].requests_per_s for one in rounds]

    def row(server: str, *, http: bool) -> Row:
        own_p50s, own_rates = p50s(server, http=http), rates(server, http=http)
        return Row(
            server=server,
            http=http,
            p50_s=statistics.median(own_p50s),
            rps=statistics.median(own_rates),
            p50_of_fastapi=_ratio(own_p50s, p50s(FASTAPI)),
            rps_of_fastapi=_ratio(own_rates, rates(FASTAPI)),
        )

    def targets(server: str) -> Sequence[Target]:
        over, alone = p50s(server), p50s(server, http=False)
        rate = rates(server)
        added = figure_of([a - b for a, b in zip(over, alone, strict=True)])
        whole = f"requests/s of {clients} clients"
        return (
            Target(
                server=server,
                what="p50 over in-process, ms",
                figure=added,
                limit=OVERHEAD_S,
                at_least=False,
                scale=1e3,
            ),
            Target(
                server=server,
                what="p50 / FastAPI's",
                figure=_ratio(over, p50s(FASTAPI)),
                limit=1.0,
                at_least=False,
            ),
            Target(
                server=server,
                what=f"{whole} / in-process",
                figure=_ratio(rate, rates(server, http=False)),
                limit=OF_INPROCESS,
                at_least=True,
            ),
            Target(
                server=server,
                what=f"{whole} / FastAPI's",
                figure=_ratio(rate, rates(FASTAPI)),
                limit=OF_FASTAPI,
                at_least=True,
            ),
        )

    return PeersResult(
        way=way,
        rows=[row(one, http=True) for one in (*OWN, *PEERS)] + [row(o, http=False) for o in OWN],
        targets=[target for server in OWN for target in targets(server)],
    )


def _ratio(values: Sequence[float], to: Sequence[float]) -> Figure:
    return figure_of([a / b for a, b in zip(values, to, strict=True)])


def run(
    model: str, options: ServeBenchOptions, way: Way, progress: Progress
) -> tuple[PeersResult, Path]:
    """Measure, and return the summary and the file that keeps all of it.

    Raises ``EngineError`` where there is no engine for ``way``, ``ContainerFailedError`` when a
    server does not start (NGINX, as a process, has to be on this machine) or refuses a request.
    """
    engine: Engine = open_docker(progress) if way is Way.CONTAINERS else ProcessEngine()
    with closing(engine):
        sweep(engine, progress)
        platform = engine.facts().platform
        build.ensure([model], engine=engine, progress=progress)
        ensure_images((*OWN, _IMAGE), platform=platform, engine=engine, progress=progress)
        with (
            bench_lock("A serve bench"),
            _served(model, engine, options) as run_arm,
            progress.step(f"Measuring {', '.join((*OWN, *PEERS))} as {way}") as step,
        ):
            total = options.rounds + 1
            rounds = measure(run_arm, options, lambda done: step.advance(done + 1, total))
        result = summarise(rounds, clients=options.clients, way=way)
        path = keep(
            "serve-bench-peers",
            subject={"servers": [*OWN, *PEERS], "model": model, "as": way},
            engine=engine,
            options=options,
            rounds=[_kept(one) for one in rounds],
            summary=asdict(result),
        )
    return result, path


def _kept(round_: Round) -> Sequence[Mapping[str, Any]]:
    return [{**asdict(arm), **asdict(block)} for arm, block in round_.items()]


@contextmanager
def _served(model: str, engine: Engine, options: ServeBenchOptions) -> Iterator[RunArm]:
    """All servers up; how each arm is run."""
    payload = store.payload(model)
    body = payload.path.read_bytes()
    with ExitStack() as stack:
        folder = stack.enter_context(archive.unpacked(store.find(model, Runtime.ONNX).path))
        file = folder.parent / "payload"
        file.write_bytes(body)
        contained = engine.kind is not EngineKind.PROCESS

        def served(name: str) -> Served:
            own = name in OWN
            spec = ContainerSpec(
                image=image_ref(name if own else _IMAGE, engine.facts().platform),
                command=("serve" if own else name,),
                model_dir=PurePosixPath(folder),
                mounts=(Mount(source=str(file), target=_INSIDE),) if contained else (),
                labels={LABEL_ROLE: "serve-bench", LABEL_OWNER: f"peers-{name}-{os.getpid()}"},
                publish=0,
            )
            return stack.enter_context(serving(engine, spec, within_s=_READY_TIMEOUT_S))

        servers = {name: served(name) for name in (*OWN, *PEERS)}

        def run_arm(arm: Arm) -> Block:
            one = servers[arm.server]
            if arm.http:
                target = LoadTarget(
                    address=one.address, payload=body, content_type=payload.content_type
                )
                return run_block(target, requests=options.requests, clients=arm.clients)
            command = ["python3", "-m", "app.inprocess", "--payload", _INSIDE]
            if not contained:
                command = [*inference_module(arm.server, "app.inprocess"), "--payload", str(file)]
            command += ["--content-type", payload.content_type]
            return run_inside(one.container, command, options.requests, arm.clients)

        yield run_arm
