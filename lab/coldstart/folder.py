"""The run folder: written line by line, so that a crash or Ctrl-C loses nothing."""

import os
from pathlib import Path
from typing import Final, Self

from lab import paths
from lab.coldstart.record import Run, Sample
from lab.errors import UsageError
from lab.runfiles import LATEST, Lines, new_folder, parse, read_bytes, write_whole

RUN_FILE: Final = "run.json"
SAMPLES_FILE: Final = "samples.jsonl"


class RunFolder:
    """``runs/<UTC time>-<plan>/``: ``run.json`` first, then a line per trial."""

    def __init__(self, path: Path) -> None:
        self.path = path
        again = f"Free some space, then go on with `lab coldstart run --resume {path.name}`."
        self._samples = Lines(path / SAMPLES_FILE, Sample, full=again)

    @classmethod
    def create(cls, run: Run, *, root: Path | None = None) -> Self:
        """Make the folder, write ``run.json`` and point ``latest`` at it."""
        folder = cls(new_folder((root or paths.runs()) / run.id))
        write_whole(folder.path / RUN_FILE, run.to_json())
        folder.point_latest()
        return folder

    @classmethod
    def find(cls, name: str | Path, *, root: Path | None = None) -> Self:
        """A run by its id, by ``latest`` or by the path of its folder. Raises ``UsageError``."""
        root = root or paths.runs()
        for path in (root / name, Path(name)):
            if (path / RUN_FILE).is_file():
                return cls(path.resolve())
        known = sorted(path.parent.name for path in root.glob(f"*/{RUN_FILE}"))
        known = [run for run in known if run != LATEST]
        there = f"Runs there are: {', '.join(known[-5:])}." if known else "There is no run yet."
        raise UsageError(
            f"{str(name)!r} is neither a run's id nor a folder with a {RUN_FILE}.",
            remedy=f"{there} Make one with: lab coldstart run smoke",
        )

    def exists(self) -> bool:
        return (self.path / RUN_FILE).is_file()

    def run(self) -> Run:
        """``run.json``. Raises ``UsageError`` with what is wrong, another schema by its number."""
        path = self.path / RUN_FILE
        return parse(Run, read_bytes(path), of=path)

    def samples(self) -> list[Sample]:
        """Every whole line of ``samples.jsonl``; a last line torn by a crash is left out.

        Raises ``UsageError`` naming the line that does not parse, or is of another schema.
        """
        return self._samples.read()

    @property
    def torn(self) -> bool:
        """Whether a crash has torn the last line of ``samples.jsonl``."""
        return self._samples.torn

    def mend(self) -> None:
        """Cut off a last line that a crash has torn, so that the next one can be appended."""
        self._samples.mend()

    def append(self, sample: Sample) -> None:
        """Write a sample so that it survives whatever comes next.

        Raises ``DiskFullError`` when it does not fit; the file then ends with the sample before.
        """
        self._samples.append(sample)

    def point_latest(self) -> None:
        """Replace the link ``latest`` in one step: nobody ever finds it missing."""
        link = self.path.parent / LATEST
        new = self.path.parent / f".{LATEST}-{os.getpid()}"
        new.unlink(missing_ok=True)
        new.symlink_to(self.path.name)
        new.replace(link)
