"""``lab check`` on a small image, and the steps of the action that runs it on a pull request."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from lab import paths
from lab.cli.main import run
from lab.engine.docker.engine import DockerEngine
from lab.engine.install.apt import deb822
from lab.images.base import ensure_base
from lab.images.hostfiles import ca_bundle, host_sources, pip_conf, pip_settings
from lab.progress import Progress
from lab.spec import LABEL, Platform

pytestmark = pytest.mark.docker

BROKEN = 9
ACTION = Path(".github") / "actions" / "inference-budget"
CHECKOUT = (".github", "lab", "models", "requirements", "scripts", "services")
SOCKET = "/var/run/docker.sock"
TABLE = "| ceiling | at most | measured | verdict |"

HOLDS = """\
image: {image}
payload: request.json
size: 1024
measure: {{cold: 6, warm: 100}}
ceilings:
  image_compressed: 1GB
  image_unpacked: 1GB
  cold_start: 10min
  warm_p95: 1min
  peak_memory: 1GB
  usd_per_million: 1000
"""
BREAKS = """\
image: {image}
ceilings:
  image_unpacked: 1kB
"""


@pytest.fixture
def budget(
    image: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path]:
    """Writes a budget of a small image; what is measured is kept beside it."""
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAB_BUSY", "ignore")
    (tmp_path / "request.json").write_text('{"instances": [[1.0]]}')

    def write(text: str, mode: str = "good") -> Path:
        path = tmp_path / "budget.yaml"
        path.write_text(text.format(image=image(mode, OF="check")))
        return path

    return write


def test_a_budget_that_holds_is_measured_kept_and_compared(
    budget: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = budget(HOLDS)
    assert run(["check", str(path), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert {one["verdict"] for one in first["findings"]} == {"ok"}
    assert len(first["findings"]) == 6
    assert first["compared_with"] is None
    figures = {one["ceiling"]: one["figure"] for one in first["findings"]}
    assert 0 < figures["image_compressed"]["value"] < figures["image_unpacked"]["value"]
    cold = figures["cold_start"]
    assert 0 < cold["low"] <= cold["value"] <= cold["high"]
    folder = tmp_path / "home" / "runs" / first["id"]
    samples = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    assert [one["total_s"] for one in samples] == cold["values"]
    warm = [json.loads(line) for line in (folder / "warm.jsonl").read_text().splitlines()]
    assert [len(one["latencies_s"]) for one in warm] == [17] * 6  # 100 shared by six, rounded up

    assert run(["check", str(path), "--json"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["compared_with"] == first["id"]
    changes = {one["ceiling"]: one["change"] for one in second["findings"]}
    assert changes["image_unpacked"]["trend"] == "no difference shown"
    assert changes["cold_start"]["before"] == cold["value"]


def test_a_budget_that_is_broken_fails_with_its_line(
    budget: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = budget("payload: request.json\nceilings:\n  cold_start: 1ms\nimage: {image}\n")
    junit = tmp_path / "out" / "junit.xml"
    assert run(["check", str(path), "--junit", str(junit)]) == BROKEN
    said = capsys.readouterr()
    assert re.search(
        rf"^{re.escape(str(path))}:3: cold_start 1 ms: .* \(.* to .*\)$", said.err, re.MULTILINE
    )
    (failure,) = ET.parse(junit).iter("failure")  # noqa: S314 - our own
    assert f"{path}:3: cold_start 1 ms" in str(failure.get("message"))


def test_an_image_that_does_not_answer_has_no_figures(
    budget: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = budget(HOLDS, "teapot")
    assert run(["check", str(path)]) == 6
    assert "only application/x-tea is brewed here" in capsys.readouterr().err


# --- the action ----------------------------------------------------------------------------------


def steps(inputs: Mapping[str, str]) -> Sequence[tuple[str, Mapping[str, str]]]:
    """The scripts of the action and the environment of each, with its inputs filled in."""
    action = yaml.safe_load((paths.ROOT / ACTION / "action.yml").read_text())
    assert action["runs"]["using"] == "composite"
    given = {name: one["default"] for name, one in action["inputs"].items()} | dict(inputs)
    found = []
    for step in action["runs"]["steps"]:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "what a user types is no part of a script"
        env = {
            name: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda match: given[match[1]], value)
            for name, value in step.get("env", {}).items()
        }
        found.append((step["run"], env))
    return found


def act(
    inputs: Mapping[str, str],
    env: Mapping[str, str],
    *,
    before: Sequence[str] = (),
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the steps as a runner does, in ``env`` alone; ``before`` is where they run."""
    done = None
    for script, own in steps(inputs):
        bare = [f"{name}={value}" for name, value in {**env, **own}.items()]
        words = ["env", "-i", *bare, "bash", "--noprofile", "--norc", "-euo", "pipefail", "-c"]
        done = subprocess.run(
            [*before, *words, script], capture_output=True, text=True, check=False, cwd=cwd
        )
        if done.returncode:
            return done
    assert done is not None
    return done


def runner(place: Path, checkout: str) -> dict[str, str]:
    """What a runner's environment has, with a home where nothing is."""
    for name in ("home", "temp", "tools"):
        (place / name).mkdir()
    return {
        "PATH": os.defpath,
        "HOME": str(place / "home"),
        "RUNNER_TEMP": str(place / "temp"),
        "RUNNER_TOOL_CACHE": str(place / "tools"),
        "GITHUB_ACTION_PATH": f"{checkout}/{ACTION}",
        "GITHUB_OUTPUT": str(place / "output"),
        "GITHUB_STEP_SUMMARY": str(place / "summary.md"),
        "LAB_BUSY": "ignore",
    }


@pytest.fixture(scope="module")
def of_image(
    image: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path_factory.mktemp("pull-request") / "budget.yaml"
        path.write_text(text.format(image=image("good", OF="check")))
        path.with_name("request.json").write_text("{}")
        return path

    return write


@pytest.mark.skipif(not paths.IN_CHECKOUT, reason="the action is of a checkout")
def test_the_action_s_steps_write_the_summary_and_keep_the_check(
    of_image: Callable[[str], Path], tmp_path: Path
) -> None:
    env = runner(tmp_path, str(paths.ROOT)) | {"PYTHONPATH": str(paths.ROOT)}
    holds = of_image(HOLDS.replace("  image_compressed: 1GB\n", ""))
    done = act({}, env, cwd=holds.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"::add-matcher::{paths.ROOT / ACTION}/matcher.json" in done.stdout
    assert TABLE in (tmp_path / "summary.md").read_text()
    assert list((tmp_path / "tools").glob("inference-lab/runs/*-check/check.json"))
    junit = dict(line.split("=") for line in (tmp_path / "output").read_text().splitlines())
    assert 'failures="0"' in Path(junit["junit"]).read_text()

    breaks = of_image(BREAKS)
    done = act({"budget": str(breaks), "args": "--fail-on-regression"}, env)
    assert done.returncode == BROKEN
    assert f"{breaks}:3: image_unpacked 1 kB: " in done.stderr
    assert (tmp_path / "summary.md").read_text().count(TABLE) == 2


@pytest.mark.long
@pytest.mark.skipif(not paths.IN_CHECKOUT, reason="the action is of a checkout")
def test_the_action_s_steps_run_in_a_clean_container(
    engine: DockerEngine,
    platform: Platform,
    progress: Progress,
    of_image: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    """From a checkout and nothing else: the first step brings all that the second needs."""
    address = engine.facts().address
    if not address.startswith("unix://"):
        pytest.skip("the engine's socket cannot be given to a container")
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in CHECKOUT:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(paths.ROOT / name, copy / name, ignore=ignored)
    for file in paths.ROOT.glob("*"):
        if file.is_file():
            shutil.copy(file, copy)
    settings = pip_settings()
    (tmp_path / "pip.conf").write_text(pip_conf(settings))
    (tmp_path / "sources").write_text(deb822(host_sources()))
    budget = of_image(HOLDS.replace("  image_compressed: 1GB\n", ""))
    mounts = {
        str(copy): "/checkout",
        str(budget.parent): "/pull-request",
        address.removeprefix("unix://"): SOCKET,
        str(tmp_path / "pip.conf"): "/etc/pip.conf",
        str(tmp_path / "sources"): "/etc/apt/sources.list.d/debian.sources",
        **_trusted(settings),
    }
    client = [shutil.which("docker") or "docker", "-H", address]
    name = f"inference-lab-test-action-{os.getpid()}"
    made = [word for here, there in mounts.items() for word in ("-v", f"{here}:{there}:ro")]
    base = ensure_base(platform, engine, progress).ref
    start = [*client, "run", "--detach", "--rm", "--name", name, "--label", f"{LABEL}=true"]
    ran = [*start, "--network", "host", *made, base, "sleep", "infinity"]
    subprocess.run(ran, check=True, capture_output=True)
    try:
        into = [*client, "exec", "--workdir", "/pull-request", name]
        ready = "cp -r /checkout /lab; mkdir -p /runner/home /runner/temp /runner/tools"
        subprocess.run([*into, "sh", "-c", ready], check=True)
        (tmp_path / "names").mkdir()
        env = runner(tmp_path / "names", "/lab")
        env = {key: value.replace(str(tmp_path / "names"), "/runner") for key, value in env.items()}
        done = act({}, env, before=into)
        assert done.returncode == 0, done.stdout + done.stderr
        said = subprocess.run(
            [*into, "cat", "/runner/summary.md"], check=True, capture_output=True, text=True
        )
        assert TABLE in said.stdout
    finally:
        subprocess.run([*client, "rm", "--force", name], check=True, capture_output=True)


def _trusted(settings: Mapping[str, str]) -> Mapping[str, str]:
    """Whom this machine trusts, and the folders from which its packages come."""
    found = {}
    bundle = ca_bundle(os.environ, settings)
    if bundle is not None:
        found[str(bundle)] = "/etc/ssl/certs/ca-certificates.crt"
    for key in ("find-links", "extra-index-url", "constraint"):
        for given in settings.get(key, "").split():
            path = Path(given.removeprefix("file://"))
            if path.is_absolute() and path.exists():
                found[str(path)] = str(path)
    return found
