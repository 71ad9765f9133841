"""A user beside the emulator: an environment that says where things are, and the clients."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.process import run
from lab.stack import sdk
from tests.docker.endpoint.clients import environments
from tests.docker.endpoint.clients.environments import environment, on_the_path
from tests.docker.endpoint.site import ACCOUNT, BUCKET, INSTANCE_TYPE, REGION, ROLE, Emulator

_PROGRAMS = Path(__file__).parent / "programs"

Run = Callable[..., Any]
"""A client with its words or its step: what it answered, or the test fails with what it said."""


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's: empty."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def user(home: Path, emulator: Emulator) -> Mapping[str, str]:
    """The user's environment: what `make up` prints, and nothing else of AWS's."""
    here = ("SAGEMAKER", "SAGEMAKER_RUNTIME", "STS", "IAM")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        sdk.VARIABLE: str(sdk.save(home / "state", bucket=f"sagemaker-{REGION}-{ACCOUNT}")),
        "AWS_ENDPOINT_URL_S3": emulator.s3,
        **{f"AWS_ENDPOINT_URL_{name}": emulator.url for name in here},
    }


@pytest.fixture(scope="module")
def sdk2(user: Mapping[str, str], obedient: str) -> Run:
    """A step of ``programs/sdk2.py``."""
    return _steps(environment("sdk2"), "sdk2", user, obedient)


@pytest.fixture(scope="module")
def sdk3(user: Mapping[str, str], obedient: str) -> Run:
    """A step of ``programs/sdk3.py``."""
    return _steps(environment("sdk3"), "sdk3", user, obedient)


def aws(program: str, user: Mapping[str, str]) -> Run:
    """The AWS command line of that version: what it printed, read where it is JSON."""
    if program == "version 1":
        found: Path | None = environment("awscli") / "aws"
    else:
        found = on_the_path("aws", "aws-cli/2.")
    if found is None:
        pytest.skip("the AWS command line 2 is not installed (Debian: awscli)")
    # Before 2.13 it reads no address from the environment: Debian 12 has 2.9.
    version_of = re.search(r"aws-cli/(\d+)\.(\d+)", run([found, "--version"]).stdout)
    assert version_of
    old = (2, 0) <= tuple(map(int, version_of.groups())) < (2, 13)
    told = ("--endpoint-url", user["AWS_ENDPOINT_URL_SAGEMAKER"]) if old else ()
    return lambda *words, refused=False: _cli(found, (*words, *told), user, refused=refused)


def _steps(binaries: Path, program: str, user: Mapping[str, str], image: str) -> Run:
    def step(name: str, **more: object) -> Any:
        told = json.dumps({"image": image, "role": ROLE, **more})
        said = _run([binaries / "python", _PROGRAMS / f"{program}.py", name, told], user)
        return json.loads(said.splitlines()[-1])

    return step


def _cli(program: Path, words: Sequence[object], user: Mapping[str, str], *, refused: bool) -> Any:
    said = _run([program, *words], user, refused=refused)
    try:
        return json.loads(said)
    except ValueError:
        return said


def _run(words: Sequence[object], user: Mapping[str, str], *, refused: bool = False) -> str:
    """What it printed; on stderr, where it was to be ``refused``."""
    done = subprocess.run(
        [str(word) for word in words], env=user, capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) == refused, f"{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
    return done.stderr if refused else done.stdout


class Terraform:
    """A folder with ``programs/terraform/main.tf``, and what is wanted of it."""

    def __init__(self, folder: Path, user: Mapping[str, str], image: str) -> None:
        self._program, plugins = environments.terraform()
        shutil.copytree(_PROGRAMS / "terraform", folder, dirs_exist_ok=True)
        self._folder = folder
        self._user = {**user, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
        self._wanted: dict[str, object] = {
            "image": image,
            "role": ROLE,
            "instance_type": INSTANCE_TYPE,
            "bucket": BUCKET,
            "name": "first",
        }
        local = [f"-plugin-dir={plugins}"] if plugins else []
        done = self._run("init", "-input=false", *local)
        if done.returncode != 0 and not plugins:
            pytest.skip(f"Terraform's AWS provider cannot be had: {done.stderr[-300:]}")
        assert done.returncode == 0, done.stderr

    def apply(self, **wanted: object) -> Mapping[str, str]:
        """Bring it about; the outputs."""
        self._wanted.update(wanted)
        self._do("apply", "-auto-approve", *self._variables())
        said = json.loads(self._do("output", "-json"))
        return {name: one["value"] for name, one in said.items()}

    def drift(self) -> str:
        """What `plan` would change; empty where the emulator says what was written."""
        done = self._run("plan", "-detailed-exitcode", *self._variables())
        assert done.returncode in {0, 2}, done.stderr
        return done.stdout if done.returncode == 2 else ""

    def destroy(self) -> None:
        self._do("destroy", "-auto-approve", *self._variables())

    def _do(self, verb: str, *words: str) -> str:
        done = self._run(verb, *words)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr}"
        return done.stdout

    def _variables(self) -> Sequence[str]:
        return [
            f"-var={name}={json.dumps(value).strip(chr(34))}"
            for name, value in self._wanted.items()
        ]

    def _run(self, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, verb, "-no-color", *words],
            cwd=self._folder,
            env=self._user,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
