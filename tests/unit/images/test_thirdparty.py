"""Pulled where a registry answers, built where none does, left as it is where it is there."""

from collections.abc import Iterator

import pytest

from lab.engine.docker.engine import DockerEngine
from lab.errors import BuildError, EngineError
from lab.images import build, thirdparty
from lab.images.base import ensure_base
from lab.images.pins import Pin
from lab.images.targets import LABEL_FINGERPRINT, fingerprint, target
from lab.images.thirdparty import LABEL_DETAIL, LABEL_SOURCE, Provenance
from lab.progress import Silent
from lab.spec import Platform
from tests.unit.engine.fakedocker import FakeDocker
from tests.unit.images.conftest import Builder
from tests.unit.images.fakes import BASE, BASE_LABELS, has_image, lacks_image

BASE_ID = "sha256:" + "1" * 64
REF = "inference-lab/prometheus:amd64"


@pytest.fixture
def engine(docker: FakeDocker) -> Iterator[DockerEngine]:
    has_image(docker, BASE, labels=BASE_LABELS)
    lacks_image(docker, REF)
    lacks_image(docker, "inference-lab/grafana:amd64")
    made = DockerEngine(docker.address)
    yield made
    made.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The registries that were asked; none answers."""
    seen: list[str] = []

    def refuse(pin: Pin) -> bool:
        seen.append(pin.registry)
        return False

    monkeypatch.setattr(Pin, "answers", refuse)
    return seen


def ensure(engine: DockerEngine, *names: str, progress: Silent | None = None) -> list[Provenance]:
    found = thirdparty.ensure(
        [target(name) for name in names],
        platform=Platform.AMD64,
        engine=engine,
        progress=progress or Silent(),
        base=lambda: ensure_base(Platform.AMD64, engine, Silent()).digest,
    )
    return list(found.values())


def labels_of(builder: Builder) -> dict[str, str]:
    sets = [word for word in builder.commands[-1] if word.startswith("--set=")]
    return dict(word.partition(".labels.")[2].split("=", 1) for word in sets)


def test_without_a_registry_it_is_built_from_packages(
    engine: DockerEngine, builder: Builder, asked: list[str]
) -> None:
    ensure(engine, "prometheus")
    assert asked == ["registry-1.docker.io", "quay.io"]
    labels = labels_of(builder)
    assert labels[LABEL_SOURCE] == "packages"
    assert labels[LABEL_FINGERPRINT] == fingerprint(target("prometheus"), base=BASE_ID)
    assert builder.environments[-1]["UPSTREAM"] == ""


def test_where_a_registry_answers_it_is_pulled_and_given_the_labs_name(
    docker: FakeDocker,
    engine: DockerEngine,
    builder: Builder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Pin, "answers", lambda _: True)
    pulled: list[str] = []
    monkeypatch.setattr(DockerEngine, "pull", lambda _, ref, **__: pulled.append(ref))

    def become_present(*_: object, **__: object) -> None:
        builder.commands.append(["bake"])
        has_image(
            docker,
            REF,
            labels={
                LABEL_FINGERPRINT: thirdparty._mark_pulled(target("prometheus")),
                LABEL_SOURCE: "registry",
                LABEL_DETAIL: pulled[0],
            },
        )

    monkeypatch.setattr("lab.images.thirdparty.bake", become_present)
    (one,) = ensure(engine, "prometheus")
    assert pulled[0].startswith("docker.io/prom/prometheus:v")
    assert (one.source, one.detail) == ("registry", pulled[0])
    assert builder.commands == [["bake"]]


def test_a_registry_that_answers_here_but_not_the_engine_is_passed_over(
    engine: DockerEngine, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pin, "answers", lambda _: True)
    progress = Silent()
    ensure(engine, "prometheus", progress=progress)
    assert len([note for note in progress.notes if "cannot be used" in note]) == 2
    assert labels_of(builder)[LABEL_SOURCE] == "packages"


def test_one_that_is_there_is_neither_asked_for_nor_built(
    docker: FakeDocker, engine: DockerEngine, builder: Builder, asked: list[str]
) -> None:
    mark = fingerprint(target("prometheus"), base=BASE_ID)
    has_image(docker, REF, labels={LABEL_FINGERPRINT: mark, LABEL_SOURCE: "packages"})
    (one,) = ensure(engine, "prometheus")
    assert (one.source, one.detail) == ("packages", "Debian's prometheus")
    assert asked == []
    assert builder.commands == []


def test_one_that_nobody_packages_is_absent_which_is_no_error(
    engine: DockerEngine, builder: Builder, asked: list[str]
) -> None:
    (one,) = ensure(engine, "grafana")
    assert one.source is None
    assert "no registry answers" in one.detail
    assert builder.commands == []


def test_a_registry_is_asked_once_however_many_images_it_has(
    engine: DockerEngine, docker: FakeDocker, builder: Builder, asked: list[str]
) -> None:
    lacks_image(docker, "inference-lab/pushgateway:amd64")
    ensure(engine, "prometheus", "pushgateway", "grafana")
    assert asked == ["registry-1.docker.io", "quay.io"]


def test_whoever_cannot_do_without_it_is_told(
    engine: DockerEngine, builder: Builder, asked: list[str]
) -> None:
    with pytest.raises(EngineError, match="grafana can be had from nowhere"):
        build.ensure(["grafana"], platform=Platform.AMD64, engine=engine, progress=Silent())


def test_a_build_that_fails_is_an_error(
    engine: DockerEngine, builder: Builder, asked: list[str]
) -> None:
    builder.fails = "docker buildx bake ended with code 1.\n#3 ERROR"
    with pytest.raises(BuildError, match="prometheus could not be built"):
        ensure(engine, "prometheus")
