"""What an image can be used for, from the findings about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lab.contract.model import Finding, Verdict

REAL_TIME: Final = "real time"
SERVERLESS: Final = "serverless"
BATCH: Final = "batch"
MULTI_MODEL: Final = "multi-model"

_ALL: Final = (REAL_TIME, SERVERLESS, BATCH, MULTI_MODEL)
_INSTANCES: Final = (REAL_TIME, BATCH, MULTI_MODEL)

_SPOILS: Final[Mapping[str, Sequence[str]]] = {
    "serve": _ALL,
    "port": _ALL,
    "start-time": _ALL,
    "ping": _ALL,
    "ping-loaded": _ALL,
    "ping-load": _INSTANCES,
    "accept": _INSTANCES,
    "concurrent": (REAL_TIME, MULTI_MODEL),
    "invocation": _ALL,
    "unknown-headers": _ALL,
    "model-read-only": _ALL,
    "non-root": (SERVERLESS,),
    "read-only-root": (SERVERLESS,),
    "payload-4mb": (SERVERLESS,),
    "payload-6mb": (REAL_TIME, BATCH, MULTI_MODEL),
    "platform": _ALL,
    "manifest": _ALL,
    "image-size": (SERVERLESS,),
}
"""Rules that an image must keep to be of a kind; the others cost it something, not everything."""

_CAPABILITY: Final[Mapping[str, str]] = {
    "kind-real-time": REAL_TIME,
    "kind-serverless": SERVERLESS,
    "kind-batch": BATCH,
    "kind-multi-model": MULTI_MODEL,
}
"""Rules that ask for a kind outright."""


@dataclass(frozen=True, kw_only=True)
class Fitness:
    """For what an image is fit; what could not be told is in neither."""

    fit: Sequence[str]
    unfit: Sequence[str]

    @property
    def words(self) -> str:
        """``fit for real time, serverless; not for batch``."""
        parts = []
        if self.fit:
            parts.append(f"fit for: {', '.join(self.fit)}")
        if self.unfit:
            parts.append(f"not for: {', '.join(self.unfit)}")
        return "; ".join(parts) or "not enough was tried to say what it is fit for"


def fitness(findings: Sequence[Finding]) -> Fitness:
    """What the findings come to. A kind takes a container that got ready and broke no rule of it;
    batch and multi-model must have been asked for besides, since a server may be neither.
    """
    verdicts = {one.rule.id: one.verdict for one in findings}
    spoiled = {
        kind
        for rule, verdict in verdicts.items()
        if verdict is Verdict.FAIL
        for kind in _SPOILS.get(rule, ())
    }
    asked = {kind: verdicts.get(rule) for rule, kind in _CAPABILITY.items()}
    started = verdicts.get("serve") in {Verdict.PASS, Verdict.WARN}
    fit, unfit = [], []
    for kind in _ALL:
        verdict = asked[kind]
        optional = kind in {BATCH, MULTI_MODEL}
        if kind in spoiled or verdict in {Verdict.FAIL, Verdict.WARN}:
            unfit.append(kind)
        elif verdict is Verdict.PASS or (verdict is None and started and not optional):
            fit.append(kind)
    return Fitness(fit=tuple(fit), unfit=tuple(unfit))
