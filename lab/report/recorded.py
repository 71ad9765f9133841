"""A run folder, found and read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.coldstart.folder import RunFolder
from lab.coldstart.record import Run, Sample


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A run and its samples in the order in which they ended."""

    folder: Path
    run: Run
    samples: Sequence[Sample]
    torn: int
    """Lines at the end of the file that were cut off by a crash: 0 or 1."""


def load(path: Path) -> Recorded:
    """Read a run folder; a last line without an end (a crash while writing) is left out.

    Raises ``UsageError`` naming the file and the line that does not parse, or the schema that
    this version does not read.
    """
    folder = RunFolder(path)
    run = folder.run()
    # A trial that a resumed run measured again replaces what was there.
    by_trial: dict[int, Sample] = {}
    for sample in folder.samples():
        by_trial.pop(sample.trial, None)
        by_trial[sample.trial] = sample
    return Recorded(
        folder=path,
        run=run,
        samples=tuple(by_trial.values()),
        torn=int(folder.torn),
    )
