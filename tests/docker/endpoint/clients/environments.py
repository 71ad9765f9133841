"""The clients as their users have them: each in an environment of its own, which is made once."""

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lab import paths
from lab.errors import CommandError
from lab.images.hostfiles import pip_settings, uv_toml
from lab.process import run
from tests.docker.conftest import alone

_UNREACHED = re.compile(
    r"error sending request|failed to fetch|client error \(connect\)|dns error|timed out"
    r"|connection refused|network is unreachable|network was disabled",
    re.IGNORECASE,
)


def environment(name: str) -> Path:
    """The ``bin`` folder of what ``requirements/NAME.txt`` pins. Skips where no index answers."""
    pinned = paths.REQUIREMENTS / f"{name}.txt"
    digest = hashlib.sha256(f"{sys.version}{pinned.read_text()}".encode()).hexdigest()[:16]
    folder = paths.cache() / "clients" / f"{name}-{digest}"
    with alone(f"client-{name}"):
        whole = folder / "whole"
        if not whole.exists():
            for older in folder.parent.glob(f"{name}-*"):
                shutil.rmtree(older)
            try:
                _install(pinned, folder)
            except CommandError as error:
                if _UNREACHED.search(error.what):
                    pytest.skip(f"PyPI cannot be reached for {pinned.name}: {error.what[-300:]}")
                raise
            whole.touch()
    return folder / "bin"


def _install(pinned: Path, folder: Path) -> None:
    uv = [sys.executable, "-m", "uv"]
    run([*uv, "venv", "--quiet", "--python", sys.executable, folder])
    with TemporaryDirectory() as place:
        settings = Path(place, "uv.toml")
        settings.write_text(uv_toml(pip_settings(), reached=lambda _: True), encoding="utf-8")
        run(
            [
                *[*uv, "--config-file", str(settings), "pip", "install", "--quiet", "--no-deps"],
                *["--require-hashes", "--python", str(folder / "bin/python")],
                *["--requirement", str(pinned)],
            ]
        )


def on_the_path(program: str, version: str) -> Path | None:
    """The first of the programs of that name whose ``--version`` says ``version``."""
    for found in _all_on_the_path(program):
        if version in run([found, "--version"], check=False).stdout:
            return found
    return None


def _all_on_the_path(program: str) -> Iterator[Path]:
    for folder in os.environ["PATH"].split(os.pathsep):
        if found := shutil.which(program, path=folder):
            yield Path(found)


def terraform() -> tuple[Path, Path | None]:
    """Terraform, and a folder with its AWS provider, if there is one. Skips without the program.

    The provider is looked for where Terraform does (not in the user's home, which the tests
    replace) and in ``LAB_TERRAFORM_PLUGINS``.
    """
    found = shutil.which("terraform")
    if found is None:
        pytest.skip("Terraform is not installed")
    local = [Path.home() / ".terraform.d/plugins", *Path("/opt").glob("*")]
    local += [Path(share, "terraform/plugins") for share in ("/usr/local/share", "/usr/share")]
    given = os.environ.get("LAB_TERRAFORM_PLUGINS")
    for folder in [Path(given)] if given else local:
        if (folder / "registry.terraform.io/hashicorp/aws").is_dir():
            return Path(found), folder
    return Path(found), None
