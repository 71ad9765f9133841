"""The study's warm figures with ours beside: ``lab load study``, for a terminal and as Markdown.

Seconds of two places are set beside each other here, as nowhere else, because the protocol is the
same. They are not of the same processor: ratios say more, and have a table of their own.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from lab.loadtest.study import StudyResult, StudyRow, Workers
from lab.loadtest.targets.sizes import Size
from lab.report.document import Document, Table, left
from lab.report.study.published import NAMES, REAL_TIME, SERVERLESS, SOURCE, RealTime, Serverless
from lab.report.words import NOTHING, significant, times
from lab.spec import MB_PER_VCPU
from lab.units import format_seconds

_PUBLISHED: Final = {(one.model, one.memory_mb): one for one in SERVERLESS}
_INSTANCES: Final = {(one.model, one.instance): one for one in REAL_TIME}
PERIOD_S: Final = 0.1
"""Of a container's CPU quota: the kernel's default, and the engine's."""
ASSUMES: Final = (
    "Published seconds are AWS's, of 2023: prediction by the container's own clock, total as a "
    "client far away saw it. Ours are a client's on the same machine, so they stand beside the "
    "prediction; the network's part is in the published total alone, and in its cost, which is GB "
    "by total seconds by 0.00002 USD."
)


def document(result: StudyResult) -> Document:
    """All tables, and what the workers did, in words."""
    serverless = [one for one in result.rows if one.target.serverless]
    instances = [one for one in result.rows if not one.target.serverless]
    notes = dict.fromkeys(note for one in result.rows for note in one.target.notes)
    return Document(
        title=f"The study's warm protocol, {result.variant}",
        about=f"{result.protocol[0].upper()}{result.protocol[1:]}. Published: {SOURCE}.",
        tables=[
            table
            for table in (_serverless(serverless), _real_time(instances), _ratios(result))
            if table.rows
        ],
        notes=[ASSUMES, *effects(result), *notes],
    )


def _serverless(rows: Sequence[StudyRow]) -> Table:
    def cells(one: StudyRow) -> Sequence[str]:
        theirs = _PUBLISHED.get((one.model, one.target.memory_mb or 0))
        return [
            *(NAMES.get(one.model, one.model), one.size, str(one.workers)),
            *_theirs(theirs),
            *(_spread(one.mean_s, one.sd_s), _ms(one.cpu_s)),
            NOTHING if theirs is None else f"{theirs.usd * 1e6:.1f}",
            NOTHING if one.usd is None else f"{one.usd * 1e6:.1f}",
        ]

    return Table(
        title="Serverless: mean (population s.d.) in ms; USD of a million, published and ours",
        columns=[
            *(left("model"), "MB", "workers", "prediction", "total", "ours"),
            *("CPU", "USD", "our USD"),
        ],
        rows=[cells(one) for one in rows],
    )


def _real_time(rows: Sequence[StudyRow]) -> Table:
    def cells(one: StudyRow) -> Sequence[str]:
        theirs = _INSTANCES.get((one.model, one.size))
        ours = None if theirs is None or one.mean_s is None else _usd_per_1000(theirs, one.mean_s)
        return [
            *(NAMES.get(one.model, one.model), one.size, str(one.workers)),
            *_theirs(theirs),
            *(_spread(one.mean_s, one.sd_s), _ms(one.cpu_s)),
            NOTHING if theirs is None else significant(theirs.usd_per_1000),
            NOTHING if ours is None else significant(ours),
        ]

    return Table(
        title="Real time: the same; USD of a thousand, at the study's hourly price",
        columns=[
            *(left("model"), left("instance"), "workers", "prediction", "total", "ours"),
            *("CPU", "USD", "our USD"),
        ],
        page_only=["total", "CPU"],
        rows=[cells(one) for one in rows],
    )


def _ratios(result: StudyResult) -> Table:
    return Table(
        title="What more memory does, published and ours: seconds at less over seconds at more",
        columns=[
            *(left("model"), left("MB"), "CPU share", "prediction", "total"),
            *("as study", "one worker"),
        ],
        rows=[
            [
                *(NAMES.get(model, model), f"{less} / {more}", times(more / less)),
                *(times(_published(model, less, more)), times(_published_total(model, less, more))),
                *(
                    NOTHING if ratio is None else times(ratio)
                    for ratio in (
                        _ours(result, model, less, more, Workers.STUDY),
                        _ours(result, model, less, more, Workers.ONE),
                    )
                ),
            ]
            for model, less, more in _steps(result)
        ],
    )


def effects(result: StudyResult) -> Iterator[str]:
    """What memory did and what the workers did, wherever both were measured."""
    for model, less, more in _steps(result):
        study = _ours(result, model, less, more, Workers.STUDY)
        one = _ours(result, model, less, more, Workers.ONE)
        if study is None or one is None or _workers(less) == _workers(more):
            continue
        yield (
            f"{NAMES.get(model, model)}, {less} to {more} MB: published "
            f"{times(_published(model, less, more))} by prediction, with one worker more at "
            f"{more} MB. Here the same is {times(study)}; with one worker at both it is "
            f"{times(one)}, which is memory's part, so that the second worker's is a factor of "
            f"{study / one:.2f} (requests in series keep one busy). The published ratio is "
            f"{times(_published(model, less, more) / study)} of ours."
            + _by_share(result, model, less, more)
        )


def _by_share(result: StudyResult, model: str, less: int, more: int) -> str:
    """What the CPU share makes of it on a machine that does nothing else, one worker at both."""
    first, second = _row(result, model, less, 1), _row(result, model, more, 1)
    if first is None or second is None or not first.cpu_s or not second.cpu_s:
        return ""
    shares = less / MB_PER_VCPU, more / MB_PER_VCPU
    least = under_quota(first.cpu_s, shares[0]), under_quota(second.cpu_s, shares[1])
    return (
        f" A request takes {format_seconds(first.cpu_s)} of CPU at {less} MB and "
        f"{format_seconds(second.cpu_s)} at {more} MB. With {shares[0]:.2f} and {shares[1]:.2f} "
        f"vCPU (Lambda's ratio, for AWS publishes none), as a quota of every "
        f"{format_seconds(PERIOD_S)} and on whole cores, that is {format_seconds(least[0])} and "
        f"{format_seconds(least[1])}, {times(least[0] / least[1])}."
    )


def under_quota(cpu_s: float, share: float) -> float:
    """How long a request takes that is alone, begun with a period of the kernel's quota.

    Below a whole core it is stopped whenever the period's part is used up, so that one that needs
    less than a part is not slowed at all; above, the lab's service uses the whole cores.
    """
    if share >= 1:
        return cpu_s / int(share)
    part = share * PERIOD_S
    stops = math.ceil(cpu_s / part) - 1
    return stops * PERIOD_S + cpu_s - stops * part


# --- figures -------------------------------------------------------------------------------------


def _steps(result: StudyResult) -> Iterator[tuple[str, int, int]]:
    """Neighbouring memory sizes that the study has and that were measured, of each model."""
    for model in dict.fromkeys(one.model for one in result.rows):
        sizes = {
            one.target.memory_mb
            for one in result.rows
            if one.model == model and one.target.serverless and one.mean_s is not None
        }
        fit = sorted(size for size in sizes if size and (model, size) in _PUBLISHED)
        for less, more in pairwise(fit):
            yield model, less, more


def _workers(memory_mb: int) -> int:
    return Workers.STUDY.at(Size.parse(str(memory_mb)))[0]


def _ours(result: StudyResult, model: str, less: int, more: int, workers: Workers) -> float | None:
    def mean_s(memory_mb: int) -> float | None:
        found = _row(result, model, memory_mb, 1 if workers is Workers.ONE else _workers(memory_mb))
        return None if found is None else found.mean_s

    first, second = mean_s(less), mean_s(more)
    return first / second if first and second else None


def _row(result: StudyResult, model: str, memory_mb: int, workers: int) -> StudyRow | None:
    wanted = (model, str(memory_mb), workers)
    fit = (one for one in result.rows if (one.model, one.size, one.workers) == wanted)
    return next(fit, None)


def _published(model: str, less: int, more: int) -> float:
    first, second = _PUBLISHED[model, less], _PUBLISHED[model, more]
    return first.warm_prediction_s / second.warm_prediction_s


def _published_total(model: str, less: int, more: int) -> float:
    return _PUBLISHED[model, less].warm_total_s / _PUBLISHED[model, more].warm_total_s


def _usd_per_1000(theirs: RealTime, seconds: float) -> float:
    return 1000 * seconds / 3600 * theirs.usd_per_hour


def _theirs(one: Serverless | RealTime | None) -> tuple[str, str]:
    if one is None:
        return NOTHING, NOTHING
    if isinstance(one, RealTime):
        return (
            _spread(one.prediction_s, one.prediction_sd_s),
            _spread(one.total_s, one.total_sd_s),
        )
    return (
        _spread(one.warm_prediction_s, one.warm_prediction_sd_s),
        _spread(one.warm_total_s, one.warm_total_sd_s),
    )


def _spread(mean_s: float | None, sd_s: float | None) -> str:
    if mean_s is None or sd_s is None:
        return NOTHING
    digits = 0 if mean_s >= 0.0995 else 1
    return f"{mean_s * 1000:.{digits}f} ({sd_s * 1000:.{digits}f})"


def _ms(seconds: float | None) -> str:
    return NOTHING if seconds is None else f"{seconds * 1000:.0f}"
