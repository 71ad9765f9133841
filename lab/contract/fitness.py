"""What an image can be used for, from the findings about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lab.contract.model import RuleFinding, Verdict

REAL_TIME: Final = "real time"
SERVERLESS: Final = "serverless"
ASYNCHRONOUS: Final = "asynchronous"
BATCH: Final = "batch"
MULTI_MODEL: Final = "multi-model"

_ALL: Final = (REAL_TIME, SERVERLESS, ASYNCHRONOUS, BATCH, MULTI_MODEL)
_DEFAULT: Final = (REAL_TIME, SERVERLESS)
_TRIED: Final = (Verdict.PASS, Verdict.WARN)
_INSTANCES: Final = (REAL_TIME, ASYNCHRONOUS, BATCH, MULTI_MODEL)

_SPOILS: Final[Mapping[str, Sequence[str]]] = {
    "serve": _ALL,
    "port": _ALL,
    "start-time": _ALL,
    "ping": _ALL,
    "ping-loaded": _ALL,
    "workers-loaded": _ALL,
    "ping-load": _INSTANCES,
    "accept": _INSTANCES,
    "concurrent": (REAL_TIME, MULTI_MODEL),
    "invocation": _ALL,
    "unknown-headers": _ALL,
    "model-read-only": _ALL,
    "non-root": (SERVERLESS,),
    "read-only-root": (SERVERLESS,),
    "keeps-running": _ALL,
    "payload-4mb": _ALL,
    "payload-6mb": _INSTANCES,
    "platform": _ALL,
    "instance-type": (REAL_TIME, ASYNCHRONOUS),
    "manifest": _ALL,
    "image-size": (SERVERLESS,),
}
"""Rules that an image must keep to be of a kind; the others cost it something, not everything."""

_NEEDED: Final[Mapping[str, Sequence[str]]] = {
    REAL_TIME: ("ping", "invocation", "concurrent", "payload-6mb"),
    SERVERLESS: ("ping", "invocation", "non-root", "read-only-root", "payload-4mb"),
    ASYNCHRONOUS: ("ping", "invocation"),
    BATCH: ("ping", "invocation"),
    MULTI_MODEL: ("ping",),
}
"""Rules that must have been tried before a kind is promised."""

_BODIES: Final[Mapping[str, Sequence[str]]] = {"payload-4mb": _ALL, "payload-6mb": _INSTANCES}
"""Rules about the size of a body, and the kinds that pass on as much: one that is refused costs
nothing else but what is larger."""

_ANSWER: Final = "answer-size"
"""Which kinds it costs, its finding says."""

_MIB: Final = 1024 * 1024

_CAPABILITY: Final[Mapping[str, str]] = {
    "kind-real-time": REAL_TIME,
    "kind-serverless": SERVERLESS,
    "kind-asynchronous": ASYNCHRONOUS,
    "kind-batch": BATCH,
    "kind-multi-model": MULTI_MODEL,
}
"""Rules that ask for a kind outright."""


@dataclass(frozen=True, kw_only=True)
class Fitness:
    """For what an image is fit; what could not be told is in neither."""

    fit: Sequence[str]
    unfit: Sequence[str]
    up_to: Mapping[str, int] = field(default_factory=dict)
    """Of kinds that it is fit for, the largest body in bytes that it takes, where the kind passes
    on larger ones."""

    @property
    def words(self) -> str:
        """``fit for real time up to 5 MB, serverless; not for batch``."""
        parts = []
        if self.fit:
            parts.append(f"fit for: {', '.join(map(self._fit_words, self.fit))}")
        if self.unfit:
            parts.append(f"not for: {', '.join(self.unfit)}")
        return "; ".join(parts) or "not enough was tried to say what it is fit for"

    def _fit_words(self, kind: str) -> str:
        limit = self.up_to.get(kind)
        return kind if limit is None else f"{kind} up to {body_words(limit)}"


def body_words(size: int) -> str:
    """The size of a body, in MB as SageMaker counts them: ``5 MB`` or ``64 KB``."""
    return f"{size // _MIB} MB" if size >= _MIB else f"{size // 1024} KB"


def decisive(kind: str) -> Sequence[str]:
    """The rules that decide about a kind: those it needs, and those that would spoil it."""
    spoiling = [rule for rule, kinds in _SPOILS.items() if kind in kinds]
    return list(dict.fromkeys((*_NEEDED[kind], *spoiling, _ANSWER)))


def spoilers(kind: str, findings: Sequence[RuleFinding]) -> Sequence[str]:
    """The rules without which an image is not of a kind, and which it breaks."""
    return [
        one.rule.id
        for one in findings
        if kind in one.not_for
        or (
            one.verdict is Verdict.FAIL
            and one.up_to_bytes is None
            and kind in _SPOILS.get(one.rule.id, ())
        )
    ]


def untried(kind: str, findings: Sequence[RuleFinding]) -> Sequence[str]:
    """The rules that must have been tried before the kind is promised, and were not."""
    tried = {one.rule.id for one in findings if one.verdict in _TRIED}
    if limit_of(kind, findings) is not None:
        tried.update(_BODIES)  # how large a body may be is known
    return [rule for rule in _NEEDED[kind] if rule not in tried]


def limit_of(kind: str, findings: Sequence[RuleFinding]) -> int | None:
    """The largest body that it takes; None if that is no less than the kind passes on."""
    limits = [
        one.up_to_bytes
        for one in findings
        if one.up_to_bytes is not None and kind in _BODIES.get(one.rule.id, ())
    ]
    return min(limits, default=None)


def fitness(findings: Sequence[RuleFinding]) -> Fitness:
    """What the findings come to: a kind takes that all it needs was tried and nothing of it broke.

    Asynchronous, batch and multi-model must have been asked for outright, since a sound server
    may be none of them.
    """
    verdicts = {one.rule.id: one.verdict for one in findings}
    fit, unfit = [], []
    for kind in _ALL:
        asked = [
            verdicts[rule] for rule, of in _CAPABILITY.items() if of == kind if rule in verdicts
        ]
        if spoilers(kind, findings) or Verdict.FAIL in asked or Verdict.WARN in asked:
            unfit.append(kind)
        elif not untried(kind, findings) and (
            Verdict.PASS in asked or (not asked and kind in _DEFAULT)
        ):
            fit.append(kind)
    limits = {kind: limit for kind in fit if (limit := limit_of(kind, findings)) is not None}
    return Fitness(fit=tuple(fit), unfit=tuple(unfit), up_to=limits)
