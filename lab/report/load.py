"""A run folder, found and read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from lab import paths
from lab.coldstart.record import SCHEMA, Run, Sample
from lab.errors import UsageError

RUN_FILE = "run.json"
SAMPLES_FILE = "samples.jsonl"


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A run and its samples in the order in which they ended."""

    folder: Path
    run: Run
    samples: Sequence[Sample]
    torn: int
    """Lines at the end of the file that were cut off by a crash: 0 or 1."""


def locate(name: str | Path) -> Path:
    """The folder of a run named by its id, by a path or as ``latest``.

    Raises ``UsageError`` naming the runs that there are.
    """
    for folder in (Path(name), paths.runs() / name):
        if (folder / RUN_FILE).is_file():
            return folder.resolve()
    known = sorted(found.parent.name for found in paths.runs().glob(f"*/{RUN_FILE}"))
    known = [run for run in known if run != "latest"]
    there = f"Runs there are: {', '.join(known[-5:])}." if known else "There is no run yet."
    raise UsageError(
        f"{str(name)!r} is neither a run's id nor a folder with a {RUN_FILE}.",
        remedy=f"{there} Make one with: lab coldstart run smoke",
    )


def load(folder: Path) -> Recorded:
    """Read a run folder; a last line without an end (a crash while writing) is left out.

    Raises ``UsageError`` naming the file and the line that does not parse, or the schema that
    this version does not read.
    """
    run_file = folder / RUN_FILE
    try:
        text = run_file.read_bytes()
        _check_schema(run_file, text)
        run = Run.model_validate_json(text)
    except OSError as error:
        raise UsageError(
            f"{run_file} cannot be read: {error.strerror}.", remedy="Name a run folder."
        ) from error
    except ValidationError as error:
        raise _unreadable(run_file, 0, error) from error
    samples, torn = _samples(folder / SAMPLES_FILE)
    return Recorded(folder=folder, run=run, samples=samples, torn=torn)


def _samples(file: Path) -> tuple[Sequence[Sample], int]:
    if not file.exists():
        return (), 0
    # A trial that a resumed run measured again replaces what was there.
    by_trial: dict[int, Sample] = {}
    lines = file.read_bytes().split(b"\n")
    ended, rest = lines[:-1], lines[-1]
    for number, line in enumerate(ended, start=1):
        if not line.strip():
            continue
        try:
            sample = Sample.model_validate_json(line)
        except ValidationError as error:
            raise _unreadable(file, number, error) from error
        if sample.schema_version != SCHEMA:
            raise _other_schema(f"{file}, line {number}", sample.schema_version)
        by_trial.pop(sample.trial, None)
        by_trial[sample.trial] = sample
    torn = 0
    if rest.strip():
        try:
            sample = Sample.model_validate_json(rest)
            by_trial[sample.trial] = sample
        except ValidationError:
            torn = 1
    return tuple(by_trial.values()), torn


def _check_schema(file: Path, text: bytes) -> None:
    """Refuse another schema by its number: what else it holds need not be known."""
    try:
        document = json.loads(text)
    except ValueError:
        return  # Told, with its place, by whoever parses it as a record.
    found = document.get("schema", SCHEMA) if isinstance(document, dict) else SCHEMA
    if found != SCHEMA:
        raise _other_schema(str(file), found)


def _other_schema(where: str, found: object) -> UsageError:
    return UsageError(
        f"{where} is of schema {found}, and this lab reads schema {SCHEMA}.",
        remedy="Read it with the lab that wrote it (run.json names its version), or measure "
        "again with this one.",
    )


def _unreadable(file: Path, line: int, error: ValidationError) -> UsageError:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or "the whole"
    where = f"{file}, line {line}" if line else str(file)
    return UsageError(
        f"{where}: {place}: {first['msg']}.",
        remedy="The file was changed, or written by another version of the lab.",
    )
