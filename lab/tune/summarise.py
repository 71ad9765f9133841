"""From what a tuning kept to its result: figures, prices, the choice and the sentence."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lab import __version__
from lab.cost.prices import PRICED_REGION, PriceTable
from lab.report.words import ratio_pair, times
from lab.spec import StartKind
from lab.tune.choice import choose, frontier, push_flags, quantile_of, sentence
from lab.tune.figures import counted, resized_ratio, size_results
from lab.tune.money import priced, storage, traffic_notes
from lab.tune.record import Tune, TuneFolder, TuneSample
from lab.tune.result import RatioFigure, SizeOutcome, SizeResult, TuneResult, WarmSource

_PERIOD: Final = (
    "A CPU quota is given out by periods of 100 ms, Docker's default: a single short prediction "
    "may run at full speed, and of many in a row some wait for the next period. AWS publishes no "
    "period."
)


def summarise(folder: TuneFolder) -> TuneResult:
    """The result of all samples that there are.

    Raises ``UsageError`` for files that do not parse, the user's table of prices among them.
    """
    tune, samples = folder.tune(), folder.samples()
    table = PriceTable.packaged() if tune.prices is None else PriceTable.load(Path(tune.prices))
    schedule = folder.schedule()
    answers = [one.warm.answer_bytes for one in samples if one.warm is not None]
    answer_bytes = max(answers, default=0)
    sizes = [
        priced(
            one,
            traffic=tune.traffic,
            schedule=schedule,
            idle_life_s=tune.idle_life_s,
            request_bytes=tune.payload.bytes,
            answer_bytes=answer_bytes,
            table=table,
        )
        for one in size_results(tune.sizes, samples, tune.objective)
    ]
    chosen = choose(sizes, tune.objective)
    resized = resized_ratio(samples)
    return TuneResult(
        id=tune.id,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        lab_version=__version__,
        name=tune.name,
        image=tune.image,
        image_id=tune.image_id,
        model=tune.model,
        platform=tune.platform,
        emulated=tune.emulated,
        payload=tune.payload.name,
        payload_bytes=tune.payload.bytes,
        answer_bytes=answer_bytes,
        objective=tune.objective,
        traffic=tune.traffic,
        idle_life_s=tune.idle_life_s,
        price_region=table.region,
        price_origin=table.origin,
        sizes=sizes,
        resized=resized,
        frontier=frontier(sizes, quantile_of(tune.objective)),
        chosen=None if chosen is None else chosen.name,
        sentence=sentence(sizes, tune.objective, chosen),
        push=push_flags(tune, chosen),
        storage=storage(
            image_bytes=tune.image_bytes, archive_bytes=tune.archive_bytes, table=table
        ),
        steps=len(samples),
        planned=len(tune.order),
        took_s=sum(one.took_s for one in samples),
        notes=_notes(tune, samples, sizes, resized, table),
    )


def _notes(
    tune: Tune,
    samples: Sequence[TuneSample],
    sizes: Sequence[SizeResult],
    resized: RatioFigure | None,
    table: PriceTable,
) -> Sequence[str]:
    """What to know of the figures, in sentences."""
    said = [*tune.notes]
    if tune.emulated:
        said.append("The image was emulated (QEMU): its seconds say nothing of real processors.")
    said += [note for one in tune.sizes for note in one.notes]
    if resized is not None:
        said.append(_proof(resized, sizes))
    said += [
        f"{one.size}: latency is of new containers only: {one.source_why}."
        for one in sizes
        if one.source is WarmSource.NEW and one.resized is not None
    ]
    said += [
        f"{one.size} is killed for want of memory: {one.failure}"
        if one.outcome is SizeOutcome.KILLED
        else f"{one.size} does not serve: {one.failure}"
        for one in sizes
        if one.outcome is not SizeOutcome.SERVES
    ]
    said += [_unpriced(one, table) for one in sizes if one.warm is not None and one.cost is None]
    said += traffic_notes(tune.traffic)
    serverless = [one for one in sizes if one.size.serverless and one.cold is not None]
    if any(one.cold and one.cold.kind is StartKind.FRESH for one in serverless):
        said.append(
            "Cold starts are of new containers whose image is on this machine: serverless loads "
            "it on demand, which --on-demand measures, and adds what AWS itself takes."
        )
    if tune.traffic is not None and serverless:
        said.append(
            f"A serverless container is kept for {tune.idle_life_s:g} s that nobody asks (AWS "
            "publishes no figure: --idle-life), and its start is billed (AWS does not say)."
        )
    said.append(_PERIOD)
    disturbed = sum(one.cold.disturbed for one in counted(samples) if one.cold is not None)
    starts = sum(one.cold is not None for one in counted(samples))
    if 2 * disturbed > starts:
        said.append(
            f"Others took much of the machine during {disturbed} of {starts} starts: its seconds "
            "say little."
        )
    if table.region == PRICED_REGION and tune.prices is None:
        said.append(f"Prices are {table.region}'s; --prices FILE takes those of another region.")
    return tuple(dict.fromkeys(said))


def _proof(resized: RatioFigure, sizes: Sequence[SizeResult]) -> str:
    held = "" if resized.interval is None else f" ({ratio_pair(resized.interval)})"
    shown = [f"{one.size}" for one in sizes if one.resized and one.source is WarmSource.NEW]
    apart = f"; a difference is shown at {', '.join(shown)}" if shown else ""
    return (
        f"Running containers that were given a size took {times(resized.value)}{held} as long as "
        f"new ones of it, over {resized.n} pairs of blocks: {resized.verdict}{apart}."
    )


def _unpriced(one: SizeResult, table: PriceTable) -> str:
    if one.money is not None and one.money.missing:
        missing = ", ".join(one.money.missing)
        return (
            f"{one.size} is left out of the comparison: {table.origin} has no price of {missing}."
        )
    why = one.money.why_not if one.money is not None else "nothing was priced"
    return f"{one.size} is left out of the comparison: {why}."
