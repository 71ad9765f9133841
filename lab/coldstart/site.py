"""Where a trial's container lives: this machine's engine, or a cold host."""

import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from lab.artifacts.archive import extract
from lab.coldstart.marks import TrialRecorder
from lab.coldstart.trial import Subject
from lab.engine.api import Engine
from lab.spec import Mark, Platform


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A subject, present where its container will live."""

    image: str
    model_dir: PurePosixPath | None


class Site(Protocol):
    """A place with an engine."""

    @property
    def engine(self) -> Engine:
        """What starts the container."""

    @property
    def publish(self) -> int | None:
        """How a container's port is reached from here: see ``ContainerSpec.publish``."""

    def bring(self, subject: Subject, taking: TrialRecorder) -> Placement:
        """Get what the site lacks, and mark when: image (if it is cold), model archive."""


class ColdSites(Protocol):
    """Makes machines that have never seen a layer. Making one is not part of a trial."""

    def open(self, platform: Platform) -> AbstractContextManager[Site]:
        """A new one, gone at the end of the block."""


class LocalSite:
    """The engine of this machine. The archive is unpacked into a new folder for each trial."""

    def __init__(self, engine: Engine, *, folder: Path, publish: int | None) -> None:
        self.engine = engine
        self.publish = publish
        self._folder = folder

    def bring(self, subject: Subject, taking: TrialRecorder) -> Placement:
        """Unpack the model archive."""
        if subject.archive is None:
            return Placement(image=subject.image, model_dir=None)
        with taking.span(Mark.FETCH_BEGIN, Mark.FETCH_END):
            self._folder.mkdir(parents=True)
            extract(subject.archive, self._folder)
        return Placement(image=subject.image, model_dir=PurePosixPath(self._folder))

    def forget(self) -> None:
        """Delete the unpacked model."""
        shutil.rmtree(self._folder, ignore_errors=True)
