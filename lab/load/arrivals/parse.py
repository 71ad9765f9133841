"""What a user types for a schedule: an expression of a model, or a file.

| text | instants |
|---|---|
| ``constant:rate=20,for=60s`` | evenly spaced |
| ``poisson:rate=20,for=60s`` | a Poisson process |
| ``gamma:rate=20,cv=3,for=60s`` | Gamma gaps of that coefficient of variation |
| ``mmpp:rate=20,idc=30,for=5m`` | bursts, also by ``ratio=`` and ``switch=`` (``models.Mmpp.of``) |
| ``steps:10/30s,20/30s`` | evenly spaced, one rate after the other; ``arrivals=poisson`` |
| ``ramp:1-50,for=60s`` | a rate that grows or falls evenly; ``arrivals=poisson`` |
| ``FILE`` or ``FILE:key=value,…`` | of a file (``files``), or of an example by its name |

Rates are ``20``, ``20/s``, ``90/min`` or ``5000/day``; times ``90s``, ``5m`` or ``1h30m``. All that
is drawn takes ``seed=``; the same text and seed give the same instants.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from numpy.random import default_rng

from lab.errors import UsageError
from lab.load.arrivals import files, models
from lab.load.arrivals.options import Options, number
from lab.load.arrivals.schedule import Schedule, check_size
from lab.units import parse_per_second, parse_seconds

CVS: Final = (0.001, 100.0)
"""Gaps that vary less are even; of those that vary more, most would be no time at all."""
_ALONG: Final = ("arrivals", "seed")

Words = Sequence[str]


def parse(text: str, *, seed: int | None = None) -> Schedule:
    """The schedule; ``seed`` is for a text that has none of its own, which else is drawn by 0.

    Raises ``UsageError``.
    """
    said = " ".join(text.split())
    name, _, rest = said.partition(":")
    if name not in MODELS:
        return files.read(text.strip(), seed=seed, models=tuple(MODELS))
    return MODELS[name](said, [word for word in rest.split(",") if word.strip()], seed)


def _constant(said: str, words: Words, seed: int | None) -> Schedule:
    del seed
    options = Options.read("constant", words, known=("rate", "for"), needed=("rate", "for"))
    rate, horizon_s = _rate_for(options)
    return _made(said, models.constant(rate=rate, horizon_s=horizon_s), horizon_s)


def _poisson(said: str, words: Words, seed: int | None) -> Schedule:
    known = ("rate", "for", "seed")
    options = Options.read("poisson", words, known=known, needed=known[:2])
    rate, horizon_s = _rate_for(options)
    seed = options.seed(seed)
    instants = models.poisson(rate=rate, horizon_s=horizon_s, rng=default_rng(seed))
    return _made(said, instants, horizon_s, seed=seed, asked_idc=1.0)


def _gamma(said: str, words: Words, seed: int | None) -> Schedule:
    known = ("rate", "cv", "for", "seed")
    options = Options.read("gamma", words, known=known, needed=known[:3])
    rate, horizon_s = _rate_for(options)
    cv = options.need("cv", number(*CVS))
    seed = options.seed(seed)
    instants = models.gamma(rate=rate, cv=cv, horizon_s=horizon_s, rng=default_rng(seed))
    return _made(said, instants, horizon_s, seed=seed, asked_idc=cv**2)


def _mmpp(said: str, words: Words, seed: int | None) -> Schedule:
    known = ("rate", "idc", "for", "ratio", "switch", "seed")
    options = Options.read("mmpp", words, known=known, needed=known[:3])
    rate, horizon_s = _rate_for(options)
    idc = options.need("idc", number(1, 1e9))
    process = models.Mmpp.of(
        rate=rate,
        idc=idc,
        ratio=options.get("ratio", number(1.001, math.inf)),
        switch_s=options.get("switch", parse_seconds),
    )
    seed = options.seed(seed)
    instants = process.draw(horizon_s=horizon_s, rng=default_rng(seed))
    return _made(f"{said} ({process})", instants, horizon_s, seed=seed, asked_idc=idc)


def _steps(said: str, words: Words, seed: int | None) -> Schedule:
    steps = [word for word in words if "=" not in word]
    options = Options.read("steps", [word for word in words if "=" in word], known=_ALONG)
    parts = []
    for step in steps:
        rate, _, lasts = step.rpartition("/")
        try:
            per_s = parse_per_second(rate)
            parts.append((per_s, per_s, parse_seconds(lasts)))
        except UsageError as error:
            raise UsageError(
                f"steps: {step!r}: {error.what}", remedy="Write steps like 10/30s,90/min/5m."
            ) from error
    if not parts:
        raise UsageError("steps: there is none.", remedy="Write steps:10/30s,20/30s.")
    return _along(said, parts, options, seed)


def _ramp(said: str, words: Words, seed: int | None) -> Schedule:
    rates = words[0] if words else ""
    options = Options.read("ramp", words[1:], known=("for", *_ALONG), needed=("for",))
    begin, _, end = rates.partition("-")
    try:
        part = (parse_per_second(begin), parse_per_second(end), options.need("for", parse_seconds))
    except UsageError as error:
        raise UsageError(f"ramp: {error.what}", remedy="Write ramp:1-50,for=60s.") from error
    return _along(said, [part], options, seed)


def _along(
    said: str, parts: Sequence[tuple[float, float, float]], options: Options, seed: int | None
) -> Schedule:
    horizon_s = math.fsum(seconds for _, _, seconds in parts)
    many = math.fsum((begin + end) / 2 * seconds for begin, end, seconds in parts)
    check_size(options.of, many, horizon_s)
    if options.one_of("arrivals", ("even", "poisson")) == "even":
        return _made(said, models.at_rates(parts), horizon_s)
    seed = options.seed(seed)
    return _made(said, models.at_rates(parts, rng=default_rng(seed)), horizon_s, seed=seed)


def _rate_for(options: Options) -> tuple[float, float]:
    rate, horizon_s = options.need("rate", parse_per_second), options.need("for", parse_seconds)
    check_size(options.of, rate * horizon_s, horizon_s)
    return rate, horizon_s


def _made(
    said: str,
    instants: models.Instants,
    horizon_s: float,
    *,
    seed: int | None = None,
    asked_idc: float | None = None,
) -> Schedule:
    check_size(said, len(instants), horizon_s)
    return Schedule(
        said=said, instants=instants, horizon_s=horizon_s, seed=seed, asked_idc=asked_idc
    )


MODELS: Final[Mapping[str, Callable[[str, Words, int | None], Schedule]]] = {
    "constant": _constant,
    "poisson": _poisson,
    "gamma": _gamma,
    "mmpp": _mmpp,
    "steps": _steps,
    "ramp": _ramp,
}
