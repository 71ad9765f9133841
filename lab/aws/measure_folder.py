"""The folder of a measurement: written request by request, so that nothing is lost."""

import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from pydantic import ValidationError

from lab import paths
from lab.aws.measure_record import AwsRun, MetricsFile, Sample
from lab.errors import BusyError, DiskFullError, UsageError

LATEST: Final = "latest"
RUN_FILE: Final = "aws.json"
SAMPLES_FILE: Final = "samples.jsonl"
METRICS_FILE: Final = "metrics.json"
SUMMARY_FILE: Final = "summary.json"


class MeasureFolder:
    """``runs/<UTC time>-aws-measure/``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, run: AwsRun, *, root: Path | None = None) -> Self:
        """Make it, with ``aws.json``."""
        folder = cls((root or paths.runs()) / run.id)
        try:
            with _disk(folder.path):
                folder.path.mkdir(parents=True, exist_ok=False)
        except FileExistsError as error:
            raise BusyError(
                f"Another measurement began in the same second: {run.id}.",
                remedy="Run it again.",
            ) from error
        folder._write(RUN_FILE, run.model_dump_json(by_alias=True, indent=1))
        return folder

    @classmethod
    def find(cls, name: str | Path, *, root: Path | None = None) -> Self:
        """By its id, its path, or as ``latest``. Raises ``UsageError`` naming those there are."""
        runs = root or paths.runs()
        known = sorted(path.parent.name for path in runs.glob(f"*/{RUN_FILE}"))[-3:]
        if name == LATEST and known:
            name = known[-1]
        for path in (runs / name, Path(name)):
            if (path / RUN_FILE).is_file():
                return cls(path.resolve())
        there = f"The newest are {', '.join(known)}." if known else "Make one: `lab push measure`."
        raise UsageError(f"There is no measurement {name}.", remedy=there)

    def run(self) -> AwsRun:
        """``aws.json``. Raises ``UsageError`` when it is not this version's."""
        path = self.path / RUN_FILE
        try:
            return AwsRun.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise UsageError(
                f"{path} cannot be read as a measurement: {error}.",
                remedy="It was changed, or written by another version of the lab.",
            ) from error

    def samples(self) -> Sequence[Sample]:
        """Every whole line; a last one torn by a crash is left out."""
        found = []
        for number, line in enumerate(self._whole().splitlines(), start=1):
            try:
                found.append(Sample.model_validate_json(line))
            except ValidationError as error:
                raise UsageError(
                    f"{self.path / SAMPLES_FILE}:{number}: not a sample: {error}."
                ) from error
        return found

    def mend(self) -> None:
        """Cut off a torn last line, so that the next can be appended."""
        path = self.path / SAMPLES_FILE
        if path.exists():
            os.truncate(path, len(self._whole()))

    def append(self, sample: Sample) -> None:
        """Write a sample so that it survives whatever comes next."""
        with _disk(self.path), (self.path / SAMPLES_FILE).open("ab") as file:
            file.write(sample.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def metrics(self) -> MetricsFile | None:
        """``metrics.json``, if there is one that can be read."""
        try:
            return MetricsFile.model_validate_json((self.path / METRICS_FILE).read_bytes())
        except (OSError, ValidationError):
            return None

    def save_metrics(self, metrics: MetricsFile) -> None:
        """Write ``metrics.json``."""
        self._write(METRICS_FILE, metrics.model_dump_json(indent=1))

    def save_summary(self, summary: Mapping[str, Any]) -> None:
        """Write ``summary.json``."""
        self._write(SUMMARY_FILE, json.dumps(summary, indent=1))

    def _whole(self) -> bytes:
        path = self.path / SAMPLES_FILE
        data = path.read_bytes() if path.exists() else b""
        return data[: data.rfind(b"\n") + 1]

    def _write(self, name: str, text: str) -> None:
        new = self.path / f".{name}"
        with _disk(self.path):
            new.write_text(text + "\n", encoding="utf-8")
            new.replace(self.path / name)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise DiskFullError(
            f"The disk that holds {path} is full; the requests so far are kept.",
            remedy=f"Free some space, then `lab push measure --resume {path.name}`.",
        ) from error
