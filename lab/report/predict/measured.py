"""Figures of ``lab push measure`` in place of the study's."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Final

from lab.aws.measure.folder import MeasureFolder
from lab.aws.measure.record import MeasuredSubject, Protocol
from lab.aws.measure.summary import series
from lab.aws.model import PushTarget, ServingKind
from lab.errors import UsageError
from lab.report.predict.equations import LARGEST_MB, SMALLEST_MB
from lab.report.predict.figures import Figure, Span
from lab.report.predict.work import Evidence, Key
from lab.spec import Platform

_COLUMNS: Final = (
    (Span.COLD, Protocol.COLD, "total_s"),
    (Span.SETUP, Protocol.COLD, "setup_s"),
    (Span.WARM, Protocol.WARM, "total_s"),
    (Span.WARM_PREDICTION, Protocol.WARM, "prediction_s"),
)


def figures(folder: MeasureFolder, evidence: Mapping[Key, Evidence]) -> Sequence[Figure]:
    """What a measurement found, for the model to be fitted to.

    Raises ``UsageError`` where it is of nothing that the model is about, or of what the run, whose
    ``evidence`` this is, has not measured.
    """
    run = folder.run()
    subject = run.subject
    why = _unfit(subject)
    if run.emulated:
        why = "ran under QEMU, whose seconds stand for nothing"
    if why:
        raise UsageError(
            f"{run.id} {why}.",
            remedy="Measure a serverless endpoint of x86-64 on AWS: `lab push measure`.",
        )
    key = (subject.variant, subject.model)
    if key not in evidence:
        raise UsageError(
            f"{run.id} measured {subject}, and the run has no fresh and on-demand starts of that.",
            remedy=f"`lab coldstart run --variant {key[0]} --model {key[1]} "
            "--start fresh --start ondemand`, then predict that run, with --fit for the constants.",
        )
    samples, metrics = folder.samples(), folder.metrics()
    found = []
    for span, protocol, name in _COLUMNS:
        values = series(samples, metrics, protocol)[name]
        if values:
            found.append(
                Figure(
                    span=span,
                    key=key,
                    size=subject.memory_mb or 0,
                    seconds=statistics.fmean(values),
                    sd_s=statistics.pstdev(values),
                    n=len(values),
                    own=True,
                )
            )
    if not found:
        raise UsageError(
            f"{run.id} holds no request that counts.",
            remedy=f"Let it finish: `lab push measure --resume {run.id}`.",
        )
    return found


def _unfit(subject: MeasuredSubject) -> str:
    if subject.target is PushTarget.LOCAL:
        return "measured the lab's emulator, not AWS"
    if subject.kind is not ServingKind.SERVERLESS:
        return f"measured an instance ({subject.instance_type}), which has other constants"
    if subject.platform is not Platform.AMD64:
        return f"measured {subject.platform}, and the model is fitted on {Platform.AMD64}"
    if not SMALLEST_MB <= (subject.memory_mb or 0) <= LARGEST_MB:
        return (
            f"measured {subject.memory_mb} MB, outside of the {SMALLEST_MB} to {LARGEST_MB} MB "
            "that the model is for"
        )
    return ""
