"""Why a published figure is further off than the bound, as far as the study's own figures tell."""

from typing import Final

from lab.report.predict.equations import spread_over
from lab.report.predict.figures import Figure, Span
from lab.report.study.published import MOBILENET, NAMES, SERVERLESS, Serverless
from lab.report.words import percent, seconds
from lab.spec import MB_PER_VCPU

BOUND: Final = 0.15
"""How far off a prediction may be without a reason."""

UNKNOWN: Final = "no reason was found"
_MUCH: Final = 0.1


def reason(figure: Figure, error: float) -> str:
    """A sentence for an error beyond the bound; empty within it."""
    if abs(error) <= BOUND:
        return ""
    if figure.own:
        return "your figures and the study's share these constants, and do not agree on them"
    if figure.span is Span.INSTANCE_PREDICTION:
        return "the constants are of serverless processors, and an instance has others"
    mine = _published(figure.key[1], figure.size)
    if figure.span in (Span.WARM, Span.WARM_PREDICTION):
        return _inference(mine, error)
    if figure.span is Span.COLD_PREDICTION:
        return _loader(mine)
    return _launch(mine, error)


def _published(model: str, memory_mb: int) -> Serverless:
    return next(one for one in SERVERLESS if (one.model, one.memory_mb) == (model, memory_mb))


def _inference(mine: Serverless, error: float) -> str:
    """Whether the study's figures of one inference agree among themselves."""

    def cpu_s(one: Serverless) -> float:
        return one.warm_prediction_s / spread_over(one.memory_mb)

    others = [one for one in SERVERLESS if one.model == mine.model and one is not mine]
    usual = sum(cpu_s(one) for one in others) / len(others)
    off = cpu_s(mine) / usual - 1
    if abs(off) > _MUCH and (off > 0) is (error < 0):
        return (
            f"by a share of 1 vCPU for {MB_PER_VCPU} MB the study's own inference costs "
            f"{seconds(cpu_s(mine))} of CPU at {mine.memory_mb} MB and {seconds(usual)} at its "
            f"other sizes, {percent(abs(off))} {'more' if off > 0 else 'less'}: no constant can "
            "meet both"
        )
    return (
        "the study timed the whole of its handler, whose share by model is not known: MobileNet's "
        "is all that the fit has of it"
    )


def _loader(mine: Serverless) -> str:
    small = _published(MOBILENET, mine.memory_mb)
    theirs = mine.cold_prediction_s / small.cold_prediction_s
    return (
        f"the study's loader is another program than ours: with it {NAMES[mine.model]} takes "
        f"{theirs:.2f}x what MobileNet does, and our loader's work in one constant stands for both"
    )


def _launch(mine: Serverless, error: float) -> str:
    """What of it lies in ModelSetupTime, which the same container has for both models."""
    small = _published(MOBILENET, mine.memory_mb)
    more = mine.setup_s - small.setup_s
    if mine is not small and (more > 0) is (error < 0) and abs(more) > _MUCH:
        return (
            f"ModelSetupTime was {seconds(abs(more))} {'more' if more > 0 else 'less'} than "
            "MobileNet's with the same image and the same program, before any of them had a model"
        )
    rest = mine.cold_total_s - mine.setup_s - mine.cold_prediction_s
    usual = [
        one.cold_total_s - one.setup_s - one.cold_prediction_s
        for one in SERVERLESS
        if one is not mine
    ]
    off = rest - sum(usual) / len(usual)
    if abs(off) > _MUCH * mine.cold_total_s * BOUND and (off > 0) is (error < 0):
        return (
            f"{seconds(rest)} of it are neither launch nor prediction, {seconds(abs(off))} "
            f"{'more' if off > 0 else 'less'} than in the study's other starts"
        )
    return UNKNOWN
