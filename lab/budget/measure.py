"""Measures what a budget's ceilings ask for, and no more."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import mean
from typing import Final

from lab.advice.advise import packed
from lab.budget.budgetfile import BudgetFile, Ceiling
from lab.budget.judge import figure_of_medians, figure_of_p95
from lab.budget.record import Figure, Warm
from lab.budget.starts import Started, started
from lab.coldstart.trial import Subject
from lab.contract.subject import CheckRequest, prepared
from lab.cost.charges import HOUR_S, billed_s, data_use, instance_use, serverless_use
from lab.cost.prices import Cost, PriceTable
from lab.engine.api import ImageFacts
from lab.engine.docker.engine import DockerEngine
from lab.errors import EngineError, PlanError
from lab.images.publish import local_registry
from lab.images.sizes import image_record
from lab.loadtest.targets.sizes import Size
from lab.progress import Progress

_MILLION: Final = 1e6
_ASKED: Final = frozenset({Ceiling.WARM_P95, Ceiling.PEAK_MEMORY, Ceiling.USD_PER_MILLION})
"""Requests are sent for these."""
_STARTED: Final = _ASKED | {Ceiling.COLD_START}
"""Containers are started for these."""


@dataclass(kw_only=True)
class Measured:
    """What there is of an image."""

    image: str
    facts: ImageFacts
    payload_sha256: str | None
    content_type: str
    figures: dict[Ceiling, Figure] = field(default_factory=dict)
    why_not: dict[Ceiling, str] = field(default_factory=dict)
    """Why a figure is missing, as a clause."""
    containers: Started = field(
        default_factory=lambda: Started(samples=(), warm=(), doubt="", notes=())
    )


def measure(file: BudgetFile, engine: DockerEngine, progress: Progress) -> Measured:
    """Have the image, and measure it. Raises what ``prepared`` and ``started`` raise."""
    budget = file.budget
    table = PriceTable.packaged() if budget.prices is None else PriceTable.load(budget.prices)
    request = CheckRequest(
        image=budget.image,
        model_data=budget.model or budget.model_data,
        payload=budget.payload,
        content_type=budget.content_type,
    )
    with ExitStack() as stack:
        checked, _ = stack.enter_context(prepared(request, engine, progress))
        body = checked.payload
        found = Measured(
            image=checked.image,
            facts=engine.image(checked.image),
            payload_sha256=None if body is None else hashlib.sha256(body).hexdigest(),
            content_type=checked.content_type,
        )
        if _STARTED & budget.asked.keys():
            if body is None:
                raise PlanError(
                    f"{file.path}:1: payload is missing.",
                    remedy="Name a file that the model can answer: payload: request.json.",
                )
            size = Size.parse(budget.size)
            found.containers = started(
                budget.image,
                Subject(
                    image=checked.image,
                    archive=packed(checked, stack),
                    payload=body,
                    content_type=checked.content_type,
                ),
                size=size,
                platform=checked.platform,
                many=budget.measure,
                ask=bool(_ASKED & budget.asked.keys()),
                engine=engine,
                progress=progress,
            )
            _figures(found, budget.asked, size, table, len(body))
    _weigh(found, budget.asked, engine, progress)
    return found


def _weigh(
    found: Measured, asked: Mapping[Ceiling, float], engine: DockerEngine, progress: Progress
) -> None:
    if Ceiling.IMAGE_UNPACKED in asked:
        found.figures[Ceiling.IMAGE_UNPACKED] = Figure(value=found.facts.unpacked_bytes)
    if Ceiling.IMAGE_COMPRESSED not in asked:
        return
    ref, platform = found.image, found.facts.platform
    try:
        with local_registry(engine, progress) as registry:
            registry.push_all(engine, [ref], progress, arch=platform.arch)
            size = image_record(engine, registry, ref, platform, ref=ref).compressed_bytes
    except EngineError as error:
        found.why_not[Ceiling.IMAGE_COMPRESSED] = error.what.rstrip(".")
        return
    if size is None:
        found.why_not[Ceiling.IMAGE_COMPRESSED] = "the local registry holds another image"
    else:
        found.figures[Ceiling.IMAGE_COMPRESSED] = Figure(value=size)


def _figures(
    found: Measured, asked: Mapping[Ceiling, float], size: Size, table: PriceTable, sent: int
) -> None:
    warm = found.containers.warm
    values: dict[Ceiling, Sequence[float]] = {
        Ceiling.COLD_START: [
            one.total_s for one in found.containers.samples if one.total_s is not None
        ],
        Ceiling.PEAK_MEMORY: [
            float(one.peak_memory_bytes) for one in warm if one.peak_memory_bytes is not None
        ],
    }
    found.why_not[Ceiling.PEAK_MEMORY] = "the containers' cgroups cannot be read from here"
    if Ceiling.USD_PER_MILLION in asked:
        costs = [request_cost(one, size, table, sent) for one in warm]
        values[Ceiling.USD_PER_MILLION] = [
            one.usd * _MILLION for one in costs if one.usd is not None
        ]
        missing = sorted({item for one in costs for item in one.missing})
        found.why_not[Ceiling.USD_PER_MILLION] = (
            f"{table.origin} has no price of {', '.join(missing)}"
        )
    for ceiling in values.keys() & asked.keys():
        if values[ceiling]:
            found.figures[ceiling] = figure_of_medians(values[ceiling])
    if Ceiling.WARM_P95 in asked:
        found.figures[Ceiling.WARM_P95] = figure_of_p95([one.latencies_s for one in warm])


def request_cost(warm: Warm, size: Size, table: PriceTable, sent_bytes: int) -> Cost:
    """What one of a container's requests costs; on an instance as if they came without a gap."""
    if size.memory_mb is not None and size.serverless:
        seconds = mean(map(billed_s, warm.latencies_s))
        compute = serverless_use(seconds=seconds, memory_mb=size.memory_mb)
    else:
        compute = instance_use(instance_type=size.name, hours=mean(warm.latencies_s) / HOUR_S)
    return table.cost({**compute, **data_use(sent_bytes + warm.answer_bytes)})
