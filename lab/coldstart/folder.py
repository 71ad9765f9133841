"""The run folder: written line by line, so that a crash or Ctrl-C loses nothing."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from pydantic import ValidationError

from lab import paths
from lab.coldstart.record import Run, Sample
from lab.errors import DiskFullError, UsageError

RUN_FILE: Final = "run.json"
SAMPLES_FILE: Final = "samples.jsonl"
LATEST: Final = "latest"


class RunFolder:
    """``runs/<UTC time>-<plan>/``: ``run.json`` first, then a line per trial."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, run: Run, *, root: Path | None = None) -> Self:
        """Make the folder, write ``run.json`` and point ``latest`` at it."""
        folder = cls((root or paths.runs()) / run.id)
        with _disk(folder.path):
            folder.path.mkdir(parents=True, exist_ok=False)
            folder._write_run(run)
            folder.point_latest()
        return folder

    @classmethod
    def find(cls, name: str, *, root: Path | None = None) -> Self:
        """A run by its id, by ``latest`` or by the path of its folder. Raises ``UsageError``."""
        root = root or paths.runs()
        for path in (root / name, Path(name)):
            if (path / RUN_FILE).is_file():
                return cls(path.resolve())
        known = sorted(path.parent.name for path in root.glob(f"*/{RUN_FILE}"))[-3:]
        there = f"The newest are {', '.join(known)}." if known else f"There is none in {root}."
        raise UsageError(f"There is no run {name}.", remedy=there)

    def exists(self) -> bool:
        """Whether it holds a run."""
        return (self.path / RUN_FILE).is_file()

    def run(self) -> Run:
        """``run.json``. Raises ``UsageError`` when it is not this version's."""
        path = self.path / RUN_FILE
        try:
            return Run.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise UsageError(f"{path} cannot be read as a run: {error}") from error

    def samples(self) -> list[Sample]:
        """Every whole line of ``samples.jsonl``; a last line torn by a crash is left out."""
        return list(self._lines()[0])

    def mend(self) -> None:
        """Cut off a last line that a crash has torn, so that the next one can be appended."""
        whole = self._lines()[1]
        path = self.path / SAMPLES_FILE
        if path.exists() and path.stat().st_size > whole:
            os.truncate(path, whole)

    def append(self, sample: Sample) -> None:
        """Write a sample so that it survives whatever comes next.

        Raises ``DiskFullError`` when it does not fit; the file then ends with the sample before.
        """
        path = self.path / SAMPLES_FILE
        before = path.stat().st_size if path.exists() else 0
        with _disk(self.path):
            try:
                with path.open("ab") as file:
                    file.write(sample.model_dump_json(by_alias=True).encode() + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                if path.exists():
                    os.truncate(path, before)
                raise

    def point_latest(self) -> None:
        """Replace the link ``latest`` in one step: nobody ever finds it missing."""
        link = self.path.parent / LATEST
        new = self.path.parent / f".{LATEST}-{os.getpid()}"
        new.unlink(missing_ok=True)
        new.symlink_to(self.path.name)
        new.replace(link)

    def _write_run(self, run: Run) -> None:
        new = self.path / f".{RUN_FILE}"
        with new.open("wb") as file:
            file.write(run.model_dump_json(by_alias=True, indent=1).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path / RUN_FILE)

    def _lines(self) -> tuple[Sequence[Sample], int]:
        """The samples, and how many bytes their lines take."""
        path = self.path / SAMPLES_FILE
        data = path.read_bytes() if path.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        samples: list[Sample] = []
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                samples.append(Sample.model_validate_json(line))
            except ValidationError as error:
                raise UsageError(f"{path}:{number}: not a sample: {error}") from error
        return samples, len(whole)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise DiskFullError(
            f"The disk that holds {path} is full; the samples so far are kept.",
            remedy=f"Free some space, then go on with `lab coldstart run --resume {path.name}`.",
        ) from error
