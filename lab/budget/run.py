"""A check from its budget to its folder: measured, judged, compared, kept."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from lab import __version__, paths
from lab.budget.budgetfile import BudgetFile
from lab.budget.judge import changed, judged
from lab.budget.measure import Measured, measure
from lab.budget.record import Check, Finding, Subject, Warm
from lab.coldstart.record import Sample
from lab.coldstart.runner import new_id
from lab.engine.api import EngineFacts
from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.local import place_of
from lab.errors import UsageError
from lab.host import host_facts
from lab.images.variants import VARIANTS
from lab.progress import Progress
from lab.runfiles import Lines, new_folder, parse, read_bytes, write_whole

CHECK_FILE: Final = "check.json"
_FULL: Final = "Free some space, then check again."
_MACHINE: Final = ("hostname", "machine", "cpu_model", "cpus", "memory_bytes")
"""The host's facts that tell one machine from another."""


def check(file: BudgetFile, engine: DockerEngine, progress: Progress) -> tuple[Check, Path]:
    """The check, and the folder of the run that keeps it with all samples.

    Raises what ``measure`` raises.
    """
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    found = measure(file, engine, progress)
    host, facts = host_facts(), engine.facts()
    subject = _subject(file, found, host, facts)
    before = last(subject)
    made = Check(
        id=new_id("check"),
        started_at=started_at,
        seconds=round(time.monotonic() - began, 3),
        lab_version=__version__,
        budget_file=str(file.path),
        budget=file.budget.model_dump(mode="json"),
        image=found.image,
        image_id=found.facts.image_id,
        subject=subject,
        host=host,
        engine=asdict(facts),
        findings=tuple(_findings(file, found, before)),
        doubt=found.containers.doubt,
        notes=tuple(found.containers.notes),
        compared_with=None if before is None else before.id,
    )
    return made, _kept(made, found)


def last(subject: Subject, *, root: Path | None = None) -> Check | None:
    """The last check of the same on the same machine; those of another schema are passed over."""
    for path in sorted((root or paths.runs()).glob(f"*-check*/{CHECK_FILE}"), reverse=True):
        try:
            found = parse(Check, read_bytes(path), of=path)
        except UsageError:
            continue
        if found.subject == subject:
            return found
    return None


def _findings(file: BudgetFile, found: Measured, before: Check | None) -> Sequence[Finding]:
    earlier = {} if before is None else {one.ceiling: one.figure for one in before.findings}
    findings, doubt = [], found.containers.doubt
    for ceiling, limit in file.budget.asked.items():
        figure, was = found.figures.get(ceiling), earlier.get(ceiling)
        why_not = found.why_not.get(ceiling, "")
        one = judged(ceiling, file.lines[ceiling], limit, figure, why_not, doubt)
        if before is not None and figure is not None and was is not None:
            change = changed(ceiling, figure, was, doubt or before.doubt)
            one = one.model_copy(update={"change": change})
        findings.append(one)
    return findings


def _subject(
    file: BudgetFile, found: Measured, host: Mapping[str, Any], engine: EngineFacts
) -> Subject:
    image = file.budget.image
    return Subject(
        budget=file.path.name,
        image=image if image in VARIANTS else place_of(image.partition("@")[0])[0],
        size=file.budget.size,
        payload_sha256=found.payload_sha256,
        content_type=found.content_type,
        machine={**{name: host.get(name) for name in _MACHINE}, "engine": engine.name},
    )


def _kept(made: Check, found: Measured) -> Path:
    folder = new_folder(paths.runs() / made.id)
    samples = Lines(folder / "samples.jsonl", Sample, full=_FULL)
    for sample in found.containers.samples:
        samples.append(sample)
    warm = Lines(folder / "warm.jsonl", Warm, full=_FULL)
    for block in found.containers.warm:
        warm.append(block)
    write_whole(folder / CHECK_FILE, made.to_json())
    return folder
