"""The folder of a measurement: written request by request, so that nothing is lost."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from pydantic import ValidationError

from lab import paths
from lab.aws.measure.record import AwsRun, MeasuredRequest, MetricsFile
from lab.runfiles import Lines, find_run, new_folder, parse, read_bytes, write_whole

RUN_FILE: Final = "aws.json"
SAMPLES_FILE: Final = "samples.jsonl"
METRICS_FILE: Final = "metrics.json"
SUMMARY_FILE: Final = "summary.json"


class MeasureFolder:
    """``runs/<UTC time>-aws-measure/``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._full = f"Free some space, then `lab push measure --resume {path.name}`."
        self._samples = Lines(path / SAMPLES_FILE, MeasuredRequest, full=self._full)

    @classmethod
    def create(cls, run: AwsRun, *, root: Path | None = None) -> Self:
        """Make it, with ``aws.json``."""
        folder = cls(new_folder((root or paths.runs()) / run.id))
        folder._write(RUN_FILE, run.to_json())
        return folder

    @classmethod
    def find(cls, name: str | Path, *, root: Path | None = None) -> Self:
        """By its id, its path, or as ``latest``. Raises ``UsageError`` naming those there are."""
        runs = root or paths.runs()
        made_by = "lab push measure"
        return cls(find_run(name, root=runs, file=RUN_FILE, what="measurement", make=made_by))

    def run(self) -> AwsRun:
        """``aws.json``. Raises ``UsageError`` when it is not this version's."""
        path = self.path / RUN_FILE
        return parse(AwsRun, read_bytes(path), of=path)

    def samples(self) -> Sequence[MeasuredRequest]:
        """Every whole line; a last one torn by a crash is left out. Raises ``UsageError``."""
        return self._samples.read()

    def mend(self) -> None:
        """Cut off a torn last line, so that the next can be appended."""
        self._samples.mend()

    def append(self, sample: MeasuredRequest) -> None:
        """Write a sample so that it survives whatever comes next. Raises ``DiskFullError``."""
        self._samples.append(sample)

    def metrics(self) -> MetricsFile | None:
        """``metrics.json``, if there is one that can be read."""
        try:
            return MetricsFile.model_validate_json((self.path / METRICS_FILE).read_bytes())
        except (OSError, ValidationError):
            return None

    def save_metrics(self, metrics: MetricsFile) -> None:
        self._write(METRICS_FILE, metrics.model_dump_json(indent=1) + "\n")

    def save_summary(self, summary: Mapping[str, Any]) -> None:
        self._write(SUMMARY_FILE, json.dumps(summary, indent=1) + "\n")

    def _write(self, name: str, text: str) -> None:
        write_whole(self.path / name, text, full=self._full)
