"""Which size to take, and the sentence that says why: pure functions of what is known of each."""

from collections.abc import Sequence
from typing import Final

from lab.aws.model import ServingKind
from lab.aws.push import planning
from lab.images.variants import VARIANTS
from lab.loadtest.record import Objective
from lab.report.words import percent
from lab.tune.record import Tune
from lab.tune.result import PushFlags, SizeOutcome, SizeResult
from lab.units import format_bytes, format_seconds

Q: Final = 0.95
"""The quantile that sizes are compared by where no objective names another."""
MOST_CONCURRENCY: Final = 200
"""Of a serverless endpoint."""
_PUSHED_CONCURRENCY: Final = 5
"""What a push asks for by itself."""


def dollars(amount: float | None) -> str:
    """As a push tells them, but that sizes differ by tenths of a cent: ``$0.0124``, ``$0.41``."""
    if amount is not None and 0.01 <= amount < 0.1:
        return f"${amount:.3g}"
    return planning.dollars(amount)


def share(of_all: float) -> str:
    """``0.8 %``; of rare ones one figure: ``0.006 %``."""
    return f"{of_all * 100:.1g} %" if 0 < of_all < 0.0005 else percent(of_all)


def frontier(sizes: Sequence[SizeResult], q: float = Q) -> Sequence[str]:
    """Sizes than which none is both cheaper and quicker, the cheapest first.

    A size without a price or a latency is none of them.
    """
    best: list[str] = []
    quickest = float("inf")
    placed = [(cost, at, one.name) for one in sizes if (cost := one.cost) and (at := one.at(q))]
    for _, at, name in sorted(placed):
        if at < quickest:
            best.append(name)
            quickest = at
    return best


def choose(sizes: Sequence[SizeResult], objective: Objective | None) -> SizeResult | None:
    """The cheapest that keeps the objective, of equal ones the quicker; None where none does."""
    q = quantile_of(objective)
    fit = [
        one
        for one in sizes
        if one.cost is not None
        and one.at(q) is not None
        and (objective is None or one.keeps_objective)
    ]
    return min(fit, key=lambda one: (one.cost, one.at(q)), default=None)


def quantile_of(objective: Objective | None) -> float:
    """What sizes are judged by."""
    return Q if objective is None else objective.q


def sentence(
    sizes: Sequence[SizeResult], objective: Objective | None, chosen: SizeResult | None
) -> str:
    """The answer, for people."""
    if chosen is None:
        return _nothing(sizes, objective)
    parts = [
        f"{chosen.size}: {_price(chosen)}",
        _latency(chosen, objective),
        *_cold(chosen, objective),
    ]
    if chosen.size.capped:
        given, whole = chosen.size.given_cpus, chosen.size.cpus
        parts.append(f"at least as fast as that, for it was given {given:g} of {whole:.3g} vCPU")
    return f"{', '.join(parts)}; {_cheaper(sizes, objective, chosen)}"


def push_flags(tune: Tune, chosen: SizeResult | None) -> PushFlags | None:
    """What to tell ``make push-aws`` to get the chosen size; None where none was chosen."""
    if chosen is None:
        return None
    ours = tune.name in VARIANTS and tune.model is not None
    flags = ["--variant", tune.name, "--model", str(tune.model)] if ours else []
    money = chosen.money
    if chosen.size.serverless:
        flags += ["--kind", ServingKind.SERVERLESS, "--memory", str(chosen.size.memory_mb)]
        peak = (money.peak_containers if money else None) or 0
        if peak > _PUSHED_CONCURRENCY:
            flags += ["--max-concurrency", str(min(peak, MOST_CONCURRENCY))]
    else:
        flags += ["--kind", ServingKind.REAL_TIME, "--instance-type", chosen.name]
        if money is not None and money.instances is not None:
            flags += ["--instances", str(money.instances)]
    return PushFlags(
        flags=tuple(flags),
        command=f'make push-aws ARGS="{" ".join(flags)}"',
        note=""
        if ours
        else "`push` takes the lab's own variants with the lab's own models: for an image of yours "
        "these flags say what to ask SageMaker for.",
    )


# --- parts of the sentence -----------------------------------------------------------------------


def _price(one: SizeResult) -> str:
    money = one.money
    if money is None:
        return "without a price"
    many = f"{money.instances} instances, " if money.instances and money.instances > 1 else ""
    if money.usd_per_day is not None:
        return f"{many}{dollars(money.usd_per_day)} a day"
    return f"{many}{dollars(money.usd_per_million)} per million requests"


def _latency(one: SizeResult, objective: Objective | None) -> str:
    q = quantile_of(objective)
    figure = None if one.warm is None else one.warm.at(q)
    if figure is None:
        return "too few requests to tell its latency"
    said = f"p{q * 100:g} {format_seconds(figure.seconds)}"
    bound = objective.seconds if objective is not None else None
    if bound is not None and figure.seconds <= bound < (figure.high_s or bound):
        said += f" (which may be {format_seconds(figure.high_s or bound)})"
    return said


def _cold(one: SizeResult, objective: Objective | None) -> Sequence[str]:
    cold, cold_share = one.cold, one.money.cold_share if one.money else None
    if cold is None:
        return []
    took = format_seconds(cold.total_s)
    if cold_share is None:
        return [f"cold {took}" if one.size.serverless else f"{took} to start"]
    said = f"cold {took} for {share(cold_share)} of requests"
    bound = objective.seconds if objective is not None else None
    left_out = 1 - quantile_of(objective)
    if bound is not None and cold_share > left_out and cold.total_s > bound:
        said += f" (more than the {percent(left_out)} that the objective leaves out)"
    return [said]


def _cheaper(sizes: Sequence[SizeResult], objective: Objective | None, chosen: SizeResult) -> str:
    """What speaks against the next cheaper one."""
    least = chosen.cost or 0.0
    below = [one for one in sizes if one.cost is not None and one.cost < least]
    if below:
        next_one = max(below, key=lambda one: one.cost or 0.0)
        why = _against(next_one, objective)
        return f"the next cheaper one, {next_one.size}, {why}"
    smaller = [
        one
        for one in sizes
        if one.outcome is not SizeOutcome.SERVES
        and one.size.serverless is chosen.size.serverless
        and one.size.memory_bytes < chosen.size.memory_bytes
    ]
    if smaller:
        next_one = max(smaller, key=lambda one: one.size.memory_bytes)
        return f"the next smaller one, {next_one.size}, {_against(next_one, objective)}"
    unpriced = [one for one in sizes if one.outcome is SizeOutcome.SERVES and one.cost is None]
    if unpriced:
        names = ", ".join(one.name for one in unpriced)
        return f"none that has a price is cheaper ({names} has none)"
    return "none is cheaper"


def _against(one: SizeResult, objective: Objective | None) -> str:
    if one.outcome is SizeOutcome.KILLED:
        missed = "" if one.missed_by is None else f", by {format_bytes(one.missed_by)}"
        return f"is killed for want of memory{missed}"
    if one.outcome is SizeOutcome.FAILS:
        return "does not serve"
    q = quantile_of(objective)
    at = one.at(q)
    if at is None:
        return "was asked too little to be judged"
    if one.throughput_per_s is None and objective is not None and at <= (objective.seconds or at):
        return "keeps the objective at no rate that was tried"
    return f"breaks the objective (p{q * 100:g} {format_seconds(at)})"


def _nothing(sizes: Sequence[SizeResult], objective: Objective | None) -> str:
    """No size was chosen: why not."""
    q = quantile_of(objective)
    quick = [(at, one) for one in sizes if (at := one.at(q)) is not None]
    if not quick:
        killed = [one for one in sizes if one.outcome is SizeOutcome.KILLED]
        if len(killed) == len(sizes):
            return "No size serves: each is killed for want of memory."
        return "No size was measured long enough to be judged."
    at, best = min(quick, key=lambda one: one[0])
    if objective is not None and not any(one.keeps_objective for one in sizes):
        most = " at most" if best.size.capped else ""
        return (
            f"No size keeps {objective}: the quickest, {best.size}, takes "
            f"{format_seconds(at)}{most}."
        )
    names = ", ".join(f"{one.size}" for _, one in quick if one.cost is None)
    return f"No size that could be taken has a price: {names}."
