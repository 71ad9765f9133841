"""Cold hosts as sites: a new machine per trial, behind a link of a stated bandwidth."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.coldstart.marks import TrialRecorder
from lab.coldstart.site import Placement, Site
from lab.coldstart.trial import Subject
from lab.engine.coldhost.host import MODEL, ColdHost, cold_host
from lab.engine.coldhost.link import Link
from lab.engine.docker.engine import DockerEngine
from lab.spec import Mark, Platform


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A model archive as the registry serves it."""

    url: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class RegistryContents:
    """What the registry holds for this run."""

    names: Mapping[str, str]
    """An image's local name to the name by which a cold host pulls it."""
    archives: Mapping[Path, Blob]


class ColdHosts:
    """Makes cold hosts on an engine."""

    def __init__(
        self, engine: DockerEngine, *, image: str, owner: str, stock: RegistryContents, link: Link
    ) -> None:
        """``image`` is the cold host's own."""
        self._link = link
        self._engine = engine
        self._image = image
        self._owner = owner
        self._stock = stock

    @contextmanager
    def open(self, platform: Platform) -> Iterator[Site]:
        """A machine that has never seen a layer, gone at the end of the block."""
        self._link.check()
        with cold_host(self._engine, image=self._image, owner=self._owner) as host:
            yield _ColdSite(host, self._stock, platform)
            # A registry that came back in the middle answered over a link without a shape.
            self._link.check()


class _ColdSite:
    """One cold host."""

    def __init__(self, host: ColdHost, stock: RegistryContents, platform: Platform) -> None:
        self.engine = host.engine
        self.publish: int | None = host.publish
        self._host = host
        self._stock = stock
        self._platform = platform

    def bring(self, subject: Subject, taking: TrialRecorder) -> Placement:
        """Pull the image, then fetch and unpack the model over the same link."""
        name = self._stock.names[subject.image]
        pulled = self._host.pull(name, platform=self._platform)
        taking.marks[Mark.PULL_BEGIN] = pulled.begin_ns
        taking.marks[Mark.PULL_DOWNLOADED] = pulled.downloaded_ns
        taking.marks[Mark.PULL_END] = pulled.end_ns
        taking.pulled_layers = pulled.layers
        taking.evidence["pulled_from"] = name
        if subject.archive is None:
            return Placement(image=name, model_dir=None)
        blob = self._stock.archives[subject.archive]
        with taking.span(Mark.FETCH_BEGIN, Mark.FETCH_END):
            self._host.fetch(blob.url, blob.digest, MODEL)
        return Placement(image=name, model_dir=MODEL)
