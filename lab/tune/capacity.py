"""How many requests a second one container of a size takes: of an instance, which takes many."""

import math
from pathlib import Path
from typing import Final

from lab.coldstart.trial import Subject
from lab.engine.api import EngineFacts
from lab.load.clients import LoadTarget, run_block
from lab.loadtest.record import Objective
from lab.loadtest.runner import InvalidLoadError
from lab.loadtest.search import SEARCH_FILE, SearchPlan, search
from lab.loadtest.search_steps import SearchResult
from lab.loadtest.targets.api import LoadPayload, WireRoute
from lab.loadtest.targets.image import ImageTarget
from lab.progress import Silent
from lab.runfiles import parse, read_bytes
from lab.tune.record import Capacity, TunedSize

STEP_S: Final = 4.0
"""Of each rate; longer where the quantile needs more requests."""
_WARM_S: Final = 1.0
_RESOLUTION: Final = 0.2
_CLIENTS: Final = 2
"""For each vCPU, where there is no objective."""
_REQUESTS: Final = 150


def capacity(
    target: ImageTarget,
    size: TunedSize,
    subject: Subject,
    *,
    objective: Objective | None,
    seed: int,
    engine: EngineFacts,
    root: Path,
) -> Capacity:
    """By a search in the open loop, whose steps are kept below ``root``.

    Without an objective: what several clients reach that send again as soon as they are answered.
    Where the generator cannot make the rates, the highest that was kept. Raises
    ``InvalidLoadError`` where none was, and what ``search`` and ``run_block`` raise.
    """
    route = target.route
    if objective is None or objective.seconds is None:
        return _closed(route, size, subject)
    payload = LoadPayload(name="payload", body=subject.payload, content_type=subject.content_type)
    plan = SearchPlan(
        payloads=[payload],
        objective=objective,
        step_s=STEP_S,
        warm_s=_WARM_S,
        resolution=_RESOLUTION,
        seed=seed,
    )
    try:
        found = search(target, plan, progress=Silent(), engine=engine, root=root)
    except InvalidLoadError:
        kept = sorted(root.glob(f"*/{SEARCH_FILE}"))
        if not kept:
            raise
        found = parse(SearchResult, read_bytes(kept[-1]), of=kept[-1])
        if found.knee is None:
            raise
    knee, above = found.knee, found.above
    least = "" if above is not None else ", at least: no higher rate was judged"
    return Capacity(
        per_s=0.0 if knee is None else knee.rate,
        objective_s=objective.seconds,
        how=f"{found.arrivals} arrivals, steps of {STEP_S:g} s{least}",
        found=above is not None,
    )


def _closed(route: WireRoute, size: TunedSize, subject: Subject) -> Capacity:
    clients = _CLIENTS * math.ceil(size.given_cpus)
    target = LoadTarget(
        address=route.address,
        payload=subject.payload,
        content_type=subject.content_type,
        accept="*/*",
    )
    run_block(target, requests=clients, clients=clients)
    found = run_block(target, requests=_REQUESTS, clients=clients)
    return Capacity(
        per_s=found.requests_per_s,
        objective_s=None,
        how=f"{clients} clients that send again when answered, whatever they wait",
        found=False,
    )
