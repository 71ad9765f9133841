"""The built wheel, in an environment of its own and no checkout in sight, measures an image."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from lab import paths
from lab.images.hostfiles import pip_settings, uv_toml

pytestmark = pytest.mark.docker

UV = [sys.executable, "-m", "uv"]


def run(words: list[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _made_here(folder: str, names: list[str]) -> set[str]:
    """What a checkout has besides its sources."""
    made = {"artifacts", "build", "dist", "runs", "state"} if folder == str(paths.ROOT) else set()
    return {name for name in names if name in made | {"__pycache__"} or name.startswith(".")} - {
        ".dockerignore"
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: what an earlier build left in the checkout must not get in."""
    place = tmp_path_factory.mktemp("wheel")
    copy = place / "checkout"
    shutil.copytree(paths.ROOT, copy, ignore=_made_here)
    run([*UV, "build", "--quiet", "--wheel", "--no-build-isolation", "-o", str(place)], cwd=copy)
    (built,) = place.glob("*.whl")
    shutil.rmtree(copy)
    return built


@pytest.fixture(scope="module")
def lab(wheel: Path) -> Path:
    """The command, installed with the locked versions of what it needs."""
    place = wheel.parent
    settings = place / "uv.toml"
    settings.write_text(uv_toml(pip_settings(), reached=lambda _: True))
    uv = [*UV, "--config-file", str(settings)]
    run([*uv, "venv", "--quiet", "env"], cwd=place)
    install = [*uv, "pip", "install", "--quiet", "--python", "env/bin/python", "--no-deps"]
    locked = str(paths.REQUIREMENTS / "lab.txt")
    run([*install, "--require-hashes", "--requirement", locked], cwd=place)
    run([*install, str(wheel)], cwd=place)
    return place / "env" / "bin" / "lab"


@pytest.fixture
def home(tmp_path: Path) -> Mapping[str, str]:
    """A user's environment, whose home is empty."""
    (tmp_path / "home").mkdir()
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("LAB_", "XDG_"))
    }
    return {**kept, "HOME": str(tmp_path / "home")}


def test_what_images_and_models_are_built_from_is_in_it(lab: Path, home: Mapping[str, str]) -> None:
    code = (
        "from lab import paths; from lab.artifacts import store; from lab.images import targets;"
        "assert 'site-packages' in str(paths.ROOT), paths.ROOT;"
        "print([targets.fingerprint(one, base='') for one in targets.TARGETS.values()]);"
        "print(store.models())"
    )
    here = run([sys.executable, "-c", code.replace("assert", "0 and")], cwd=paths.ROOT)
    there = run([str(lab.with_name("python")), "-c", code], cwd=lab.parent, env=home)
    assert there == here


def test_the_examples_of_schedules_are_in_it(lab: Path, home: Mapping[str, str]) -> None:
    code = (
        "from lab.load.arrivals import files, parse;"
        "print([len(parse.parse(name)) for name in files.EXAMPLES])"
    )
    there = run([str(lab.with_name("python")), "-c", code], cwd=lab.parent, env=home)
    assert there == "[599, 328]\n"


def test_it_measures_an_image_of_the_user_s(
    lab: Path, home: Mapping[str, str], image: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "request.json").write_text("{}")
    words = ["coldstart", "run", "--image", image("good"), "--payload", "request.json"]
    few = ["--start", "fresh", "--repeats", "2"]
    said = run([str(lab), *words, *few], cwd=tmp_path, env=home)
    runs = Path(home["HOME"]) / ".local/share/inference-lab/runs"
    (folder,) = (one for one in runs.iterdir() if not one.is_symlink())
    assert str(folder / "report.html") in said.replace("\n", "")
    summary = json.loads((folder / "summary.json").read_text())
    mine = [row for row in summary["rows"] if row["variant"] != "floor"]
    assert [(row["start_kind"], row["n"], row["failures"]) for row in mine] == [("fresh", 2, 0)]
