"""``lab images push`` and ``parity`` as a user types them, on figures that are written here."""

import json
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.cli import images, main
from lab.cli.arguments import parse_platforms
from lab.engine.api import ImageFacts
from lab.engine.docker.engine import DockerEngine
from lab.errors import ImageNotFoundError, UsageError
from lab.images.layers.saved import LookFor, Saved, read
from lab.images.publish import Published, PublishedImage
from lab.parity.compare import ModelAnswer, compare, summarise
from lab.parity.record import Bounds, Parity, ParityComparison, Side
from lab.parity.session import ParityJob
from lab.spec import Platform
from tests.unit.images.layers.archives import in_chunks, saved

ONNX = {"inference-lab/onnx:amd64", "inference-lab/onnx:arm64", "inference-lab/slim:amd64"}

BOUNDS = Bounds(max_abs_difference=1e-3, least_agreement=0.99)


class Holds(DockerEngine):
    """An engine that has the images of ``ONNX``."""

    def __init__(self) -> None:
        self.closed = False

    def image(self, ref: str) -> Any:
        if ref not in ONNX:
            raise ImageNotFoundError(f"No such image: {ref}.")
        return SimpleNamespace(ref=ref)

    def close(self) -> None:
        self.closed = True


def published(variant: str, platforms: Sequence[Platform]) -> Published:
    return Published(
        variant=variant,
        name=f"inference-lab/{variant}:latest",
        digest=f"sha256:{'1' * 64}",
        images=tuple(
            PublishedImage(
                platform=one,
                name=f"inference-lab/{variant}:{one.arch}",
                digest=f"sha256:{'2' * 64}",
                compressed_bytes=21_200_000,
                layers=2,
            )
            for one in platforms
        ),
    )


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], list[Platform]]]:
    """What was pushed: variants and platforms."""
    seen: list[tuple[list[str], list[Platform]]] = []

    def join(engine: Any, registry: Any, variants: Any, platforms: Any, _: Any) -> Any:
        seen.append((list(variants), list(platforms)))
        return [published(one, platforms) for one in variants]

    @contextmanager
    def local_registry(*_: Any) -> Any:
        yield SimpleNamespace(host="127.0.0.1:5000")

    monkeypatch.setattr(images, "open_engine", lambda _: Holds())
    monkeypatch.setattr(images, "local_registry", local_registry)
    monkeypatch.setattr(images, "join", join)
    return seen


def test_all_that_is_built_is_pushed_for_the_platforms_it_is_built_for(
    joined: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["images", "push"]) == 0
    assert joined == [(["slim"], [Platform.AMD64]), (["onnx"], [*Platform])]
    said = capsys.readouterr()
    assert "baseline is not built" in said.err
    assert f":latest  amd64, arm64        sha256:{'1' * 64}" in said.out
    assert f":arm64   21.2 MB compressed  sha256:{'2' * 64}" in said.out
    assert "docker pull --platform linux/arm64 127.0.0.1:5000/inference-lab/onnx:latest" in said.out


def test_platforms_are_named_with_commas_or_again(joined: list[Any]) -> None:
    assert main.run(["images", "push", "onnx", "--platform", "linux/arm64,amd64"]) == 0
    assert main.run(["images", "push", "onnx", "--platform", "arm64", "--platform", "arm64"]) == 0
    assert joined == [
        (["onnx"], [Platform.ARM64, Platform.AMD64]),
        (["onnx"], [Platform.ARM64]),
    ]


def test_a_variant_that_is_named_and_built_for_nothing_is_told(
    joined: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["images", "push", "baseline"]) == ImageNotFoundError.exit_code
    assert "lab images build baseline" in capsys.readouterr().err
    assert joined == []


@pytest.mark.parametrize("typed", ["linux/riscv64", "windows/amd64", "x86_64"])
def test_a_platform_that_the_lab_does_not_know_is_told_with_those_it_does(typed: str) -> None:
    with pytest.raises(UsageError, match=typed) as caught:
        parse_platforms([f"linux/amd64,{typed}"])
    assert "linux/amd64, linux/arm64" in caught.value.remedy


def test_an_image_that_is_not_the_labs_is_reported_layer_by_layer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = ImageFacts(
        ref="me:1",
        image_id="sha256:1",
        digest=None,
        platform=Platform.AMD64,
        unpacked_bytes=1,
        labels={},
    )
    layer = {"var/cache/apt/archives/x.deb": bytes(2_000_000)}
    command = "RUN |1 DB_PASSWORD=hunter2hunter2 /bin/sh -c apt-get install -y x"
    read_as: list[LookFor] = []

    def save(_: Any, ref: str, look: LookFor) -> Saved:
        read_as.append(look)
        return read(in_chunks(saved([layer], commands=[command]), 65536), look)

    monkeypatch.setattr(images, "open_engine", lambda _: Holds())
    monkeypatch.setattr(images, "ensure_image", lambda *_: facts)
    monkeypatch.setattr(images, "save", save)
    assert main.run(["images", "report", "me:1"]) == 0
    shown = capsys.readouterr().out
    assert "RUN apt-get install -y x" in shown
    assert "/var/cache/apt/archives" in shown
    assert "apt-get clean" in shown
    assert main.run(["images", "report", "me:1", "--json"]) == 0
    told = capsys.readouterr().out
    (row,) = json.loads(told)["images"]
    assert (row["ref"], row["variant"], row["unpacked_bytes"]) == ("me:1", None, 2_000_000)
    assert row["layers"][0]["leftovers"][0]["what"] == "apt's archives"
    assert "hunter2" not in shown + told
    assert {look.packages for look in read_as} == {True}


def test_a_report_for_a_platform_that_there_is_not_asks_no_engine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["images", "report", "--platform", "riscv64"]) == UsageError.exit_code
    assert "linux/amd64, linux/arm64" in capsys.readouterr().err


def comparison(arm64: float) -> ParityComparison:
    said = [
        ModelAnswer(label="0", scores=(0.9, 0.1)),
        ModelAnswer(label="1", scores=(0.2, 0.8)),
    ]
    other = [ModelAnswer(label="0", scores=(arm64, 0.1)), said[1]]
    side = Side(platform=Platform.AMD64, image="x", image_id="sha256:x", emulated=False)
    return summarise(
        compare(["a.png", "b.png"], said, other),
        variant="onnx",
        archive=("onnx", "abc"),
        sides=(side, side.model_copy(update={"platform": Platform.ARM64, "emulated": True})),
        reference=said,
        bounds=BOUNDS,
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the comparison was asked, and what it will say."""
    asked = SimpleNamespace(says=comparison(0.9))

    def run(job: ParityJob, engine: Any, progress: Any) -> tuple[Parity, Path]:
        asked.job = job
        parity = Parity(
            id="1-parity",
            created_at="",
            model=job.model,
            bounds=BOUNDS,
            host={},
            engine={},
            comparisons=(asked.says,),
        )
        return parity, Path("runs/1-parity/parity.json")

    monkeypatch.setattr(images, "open_engine", lambda _: Holds())
    monkeypatch.setattr(images, "run_parity", run)
    return asked


def test_platforms_that_answer_alike_end_well(
    asked: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["images", "parity", "onnx", "--platform", "arm64", "--count", "7"]
    assert main.run([*words, "--payload", "eye.jpg"]) == 0
    assert asked.job == ParityJob(
        variants=["onnx"],
        platform=Platform.ARM64,
        model="retinopathy-mobilenet",
        count=7,
        payloads=[Path("eye.jpg")],
    )
    said = capsys.readouterr().out
    assert "2 of 2" in said
    assert "runs/1-parity/parity.json" in said


def test_platforms_that_do_not_end_with_a_code_of_their_own_and_the_worst_picture(
    asked: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    asked.says = comparison(0.7)
    assert main.run(["images", "parity", "onnx"]) == 14
    said = capsys.readouterr()
    assert "not alike" in said.out
    assert "a.png" in said.err
