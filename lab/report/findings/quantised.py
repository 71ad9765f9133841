"""Whether int8 paid on the processor of the run: by warm predictions, beside the float model."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from lab.coldstart.summary import Finding, ratio_fields
from lab.report.findings.texts import finding
from lab.report.recorded import Recorded
from lab.report.rows import MeasuredRow
from lab.report.words import count_bytes, ratio_pair, tier, times
from lab.spec import Runtime
from lab.stats.ratios import Blocks, RatioVerdict, ratio_of_medians

SUFFIX: Final = "-int8"
"""What the name of a quantised model has beyond that of the float one."""


def not_faster(recorded: Recorded, measured: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """Pairs of which 95 % do not show int8 to answer sooner; silent about too few samples."""
    sizes = {(one.name, one.archive): one.bytes for one in recorded.run.models}
    groups: dict[tuple[str, ...], list[MeasuredRow]] = defaultdict(list)
    for one in measured:
        row = one.row
        if row.timed:
            groups[row.variant, row.platform, row.tier, row.model].append(one)
    told: dict[str, list[str]] = defaultdict(list)
    paired: list[MeasuredRow] = []
    for (*where, model), rows in groups.items():
        of = model.removesuffix(SUFFIX)
        ours, theirs = warm(rows), warm(groups.get((*where, of), []))
        if of == model or not ours or not theirs:
            continue
        ratio = ratio_of_medians(ours, theirs, seed=recorded.run.seed)
        slower = ratio.verdict is RatioVerdict.DIFFERENT and ratio.value > 1
        if not slower and ratio.verdict is not RatioVerdict.SAME:
            continue
        variant, _platform, memory = where
        was, now = (count_bytes(sizes.get((name, Runtime.ONNX))) for name in (of, model))
        told[of].append(
            f"{model}: a warm prediction takes {times(ratio.value)} the float model's time, "
            f"{ratio_pair(ratio_fields(ratio)['ci95'])} ({variant}, {tier(memory)}); "
            f"its archive is {now} instead of {was}."
        )
        paired += rows
    if told:
        yield finding(
            "int8_not_faster",
            title=f"int8 is smaller and not faster on this processor: {', '.join(told)}",
            seen="\n".join(line for lines in told.values() for line in lines),
            cells=[one.row for one in paired],
        )


def warm(rows: Sequence[MeasuredRow]) -> Blocks:
    """Second predictions by block, whatever way the container was started."""
    found: Mapping[int, list[float]] = defaultdict(list)
    for sample in (sample for one in rows for sample in one.counted):
        if sample.second_prediction_s:
            found[sample.block].append(sample.second_prediction_s)
    return found
