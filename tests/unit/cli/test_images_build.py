"""``lab images build``, as a user types it; nothing is built here."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.cli import images, main
from lab.images.publish import Published, PublishedImage
from lab.images.variants import image_ref
from lab.paths import ROOT
from lab.process import run
from lab.spec import Platform
from tests.unit.engine.fakedocker import FakeDocker

BOTH = ("amd64", "arm64")


class Work:
    """What would have been built and pushed."""

    def __init__(self) -> None:
        self.built: list[tuple[Sequence[str], Platform]] = []
        self.joined: list[tuple[Sequence[str], Sequence[Platform]]] = []

    def ensure(self, names: Sequence[str], *, platform: Platform, **_: object) -> None:
        self.built.append((names, platform))

    def join(
        self, _: object, registry: object, names: Sequence[str], platforms: Sequence[Platform],
        progress: object,
    ) -> Sequence[Published]:  # fmt: skip
        self.joined.append((names, platforms))
        return [
            Published(
                variant=name,
                name=f"inference-lab/{name}:latest",
                digest="sha256:1",
                images=[
                    PublishedImage(
                        platform=platform,
                        name=image_ref(name, platform),
                        digest="sha256:2",
                        compressed_bytes=21_000_000 + index * 1_000_000,
                        layers=1,
                    )
                    for index, platform in enumerate(platforms)
                ],
            )
            for name in names
        ]


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch, short: Path) -> Iterator[Work]:
    monkeypatch.setenv("LAB_ENGINE", "external")
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    made = Work()

    @contextmanager
    def local_registry(*_: object) -> Iterator[object]:
        yield SimpleNamespace()

    monkeypatch.setattr(images, "ensure", made.ensure)
    monkeypatch.setattr(images, "join", made.join)
    monkeypatch.setattr(images, "local_registry", local_registry)
    with FakeDocker(short / "docker.sock") as fake:
        monkeypatch.setenv("DOCKER_HOST", fake.address)
        for arch in BOTH:
            ref = f"inference-lab/onnx-slim:{arch}"
            fake.answer(
                "GET",
                f"/images/{ref}/json",
                {
                    "Id": "sha256:3",
                    "Architecture": arch,
                    "Size": 54_000_000,
                    "RepoDigests": [],
                    "Config": {"Labels": {}},
                    "RootFS": {"Layers": ["sha256:4"]},
                },
            )
            history = [{"Size": 54_000_000, "CreatedBy": "COPY /rootfs /"}]
            fake.answer("GET", f"/images/{ref}/history", history)
        yield made


def test_without_a_platform_the_engines_own_is_built_and_nothing_pushed(
    work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["images", "build", "onnx-slim"]) == 0
    assert work.built == [(["onnx-slim"], Platform.AMD64)]
    assert work.joined == []
    said = capsys.readouterr().out
    assert "54.0 MB" in said
    assert "An interpreter" in said


@pytest.mark.parametrize(
    "words",
    [["--platform", "linux/amd64,linux/arm64"], ["--platform", "amd64", "--platform=arm64"]],
)
def test_several_platforms_are_built_one_after_the_other_and_joined(
    work: Work, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main.run(["images", "build", "onnx-slim", *words]) == 0
    platforms = [Platform.AMD64, Platform.ARM64]
    assert work.built == [(["onnx-slim"], platform) for platform in platforms]
    assert work.joined == [(["onnx-slim"], platforms)]
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "onnx-slim" in line]
    assert [" ".join(row) for row in rows] == [
        "│ onnx-slim │ amd64 │ 21.0 MB │ 54.0 MB │ 1 │",
        "│ onnx-slim │ arm64 │ 22.0 MB │ 54.0 MB │ 1 │",
    ]


def test_a_platform_that_is_none_is_refused_before_anything_is_built(
    work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["images", "build", "--platform", "linux/amd64,linux/riscv64"]) == 2
    assert work.built == []
    assert "'linux/riscv64' is not a platform" in capsys.readouterr().err


def test_make_hands_the_platforms_over(tmp_path: Path) -> None:
    said = run(["make", "--dry-run", "images", "PLATFORMS=linux/amd64,linux/arm64"], cwd=ROOT)
    assert "lab images build --platform linux/amd64,linux/arm64" in said.stdout
    assert "--platform" not in run(["make", "--dry-run", "images"], cwd=ROOT).stdout
