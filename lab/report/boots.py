"""What was seen inside ``boot``, in words: starts that tell nothing of themselves."""

from collections.abc import Iterator

from lab.coldstart.summary import Row
from lab.report.words import plural, seconds
from lab.spec import Phase
from lab.start.boot import Boot

_EARLY = 0.5
"""Share of ``boot`` within which the port of a front server opens."""
_IDLE = 0.5
"""Cores in the mean below which a start mostly waits."""
_ONE_CORE = 1.2
_HELD = 0.3
"""Share of ``boot`` in which the quota holds it back from which that is the first thing to say."""


def story(row: Row) -> str:
    """In one line, times from the first instruction of process 1; empty without a word of it."""
    boot = row.boot
    if boot is None:
        return ""
    parts = [f"port open after {seconds(boot.port_open_s)}"] if boot.port_open_s else []
    parts += [answers(boot)] if boot.answers else []
    if boot.cpu_seconds is not None:
        held = f", {seconds(boot.throttled_seconds)} throttled" if boot.throttled_seconds else ""
        parts.append(f"{seconds(boot.cpu_seconds)} of CPU{held}")
    parts += [f"came up: {processes(boot)}"] if boot.processes else []
    return "; ".join(parts)


def answers(boot: Boot) -> str:
    """``/ping answered 502 until 59.8 s``."""
    return ", ".join(
        f"/ping answered {one.status} until {seconds(one.until_s)}"
        if one.status is not None
        else f"/ping was not answered until {seconds(one.until_s)}"
        for one in boot.answers
    )


def processes(boot: Boot) -> str:
    """``nginx x3 at 0.1 s, gunicorn x5 at 0.4 to 2.1 s``."""
    found = []
    for one in boot.processes:
        times = f" x{one.count}" if one.count > 1 else ""
        last = f" to {seconds(one.last_s)}" if one.last_s > one.first_s else ""
        found.append(f"{one.name}{times} at {seconds(one.first_s)}{last}")
    return ", ".join(found)


def cure(row: Row) -> str:
    """Where to look first, by what was seen."""
    return " ".join(_cures(row))


def _cures(row: Row) -> Iterator[str]:
    boot, taken = row.boot, row.phases_s.get(Phase.BOOT, 0.0)
    if boot is None or not taken:
        return
    if (boot.throttled_seconds or 0.0) >= _HELD * taken:
        yield "The tier's CPU quota holds it back: try one with more memory."
    if boot.answers and boot.port_open_s is not None and boot.port_open_s <= _EARLY * taken:
        names = dict.fromkeys(one.name for one in boot.processes)
        who = f" (of {plural(len(names), 'program')}: {', '.join(names)})" if names else ""
        yield (
            "The front server is there early and refuses until what stands behind it is"
            f"{who}: its imports and its model load are the time."
        )
    if boot.cpu_seconds is None:
        return
    cores = boot.cpu_seconds / taken
    if cores < _IDLE:
        yield (
            f"It computes for {seconds(boot.cpu_seconds)} of {seconds(taken)} and waits otherwise: "
            "look for a sleep, a download, a name that is not resolved, a slow disk."
        )
    elif cores < _ONE_CORE:
        yield (
            "About one core is busy all along: import less, load the model in a thread beside the "
            "imports, byte-compile."
        )
