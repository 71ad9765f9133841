"""What stands for images where there are no containers: a virtual environment per variant.

A folder ``.cache/venvs/<variant>/`` with ``image.json``: ``argv`` to start it, ``env`` to start it
in, and ``unpacked_bytes``, which stand for the image's size.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab import paths
from lab.errors import BuildError, CommandError, DiskFullError, UsageError
from lab.images.hostfiles import pip_settings, uv_toml
from lab.images.variants import VARIANTS, Variant, serving
from lab.lock import heavy_work
from lab.process import run, stream
from lab.progress import Progress, Step
from lab.spec import FLOOR

IMAGE: Final = "image.json"

_SERVE: Final = paths.SERVICES / "inference" / "serve"
_APP: Final = paths.SERVICES / "inference" / "app"
_FLOOR: Final = paths.SERVICES / "floor" / "floor.py"
_BYTECODE: Final = "__pycache__"


@dataclass(frozen=True, kw_only=True)
class VenvRecipe:
    """How an environment is made. ``options`` go to ``uv pip install``."""

    requirements: str | None
    argv: Callable[[Path], Sequence[str | Path]]
    """The command, given the environment's folder."""
    env: Mapping[str, str]
    options: Sequence[str] = ()
    venv: bool = True
    """False: packages in a plain folder, for an interpreter that looks nowhere else."""


def ensure(names: Sequence[str], *, progress: Progress) -> None:
    """Have the environments of ``names``; those that need containers are left out.

    Raises ``BuildError`` or ``DiskFullError``.
    """
    recipes = _recipes()
    for name in names:
        recipe = recipes.get(name)
        if recipe is None:
            raise UsageError(
                f"{name} exists as a container only, and there is no container engine here.",
                remedy="See `lab doctor` for how to get one.",
            )
        folder = paths.cache() / "venvs" / name
        mark = _mark(recipe)
        if _made_from(folder) != mark:
            title = f"Building the environment of {name} (no container)"
            with heavy_work(title, progress), progress.step(title) as step:
                _build(name, recipe, folder, mark, step)


def inference_module(name: str, module: str) -> Sequence[str]:
    """How to run a module of the server's with a variant's environment, as ``python -m`` would."""
    image = json.loads((paths.cache() / "venvs" / name / IMAGE).read_text(encoding="utf-8"))
    program = (
        f"import runpy, sys; sys.path.insert(0, {str(_SERVE.parent)!r}); "
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    return [*image["argv"][:-1], "-c", program]


def _recipes() -> Mapping[str, VenvRecipe]:
    """Per image: the same packages and the same switches as in its Dockerfile."""
    plain = {"PYTHONUNBUFFERED": "1"}
    return {
        **{name: _of(VARIANTS[name]) for name in serving()},
        FLOOR: VenvRecipe(
            requirements=None,
            argv=lambda _: (_interpreter(), "-E", "-s", "-S", _FLOOR),
            env={},
            venv=False,
        ),
        "endpoint": VenvRecipe(
            requirements="endpoint.txt",
            argv=lambda folder: (folder / "venv/bin/python", "-m", "face"),
            # The emulator's behaviour is the lab's own package.
            env={**plain, "PYTHONPATH": f"{paths.ROOT}:{paths.SERVICES / 'endpoint'}"},
        ),
        "s3": VenvRecipe(
            requirements="s3.txt",
            argv=lambda folder: (
                *(folder / "venv/bin/weed", "mini"),
                f"-options={paths.SERVICES / 's3/weed.options'}",
            ),
            # It would take the user's own keys for the only ones that it is to admit.
            env={"GOMEMLIMIT": "512MiB", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
        ),
        "peers": VenvRecipe(
            requirements="peers.txt",
            argv=lambda folder: (folder / "venv/bin/python", paths.SERVICES / "peers/serve.py"),
            env={**plain, "ORT_DISABLE_TELEMETRY": "1"},
        ),
        "trainer": VenvRecipe(
            requirements="trainer.txt",
            argv=lambda folder: (folder / "venv/bin/python",),
            env={**plain, "ORT_DISABLE_TELEMETRY": "1"},
        ),
    }


def _of(variant: Variant) -> VenvRecipe:
    """NGINX only where this machine has it."""
    env = {k: v for k, v in variant.env.items() if k != "LAB_NGINX" or shutil.which("nginx")}
    options = () if variant.dependencies else ("--no-deps",)
    requirements = f"{variant.requirements}.txt"
    if variant.environment:
        env["PYTHONUNBUFFERED"] = "1"
        return VenvRecipe(requirements=requirements, argv=_served, env=env, options=options)
    return VenvRecipe(
        requirements=requirements,
        argv=lambda _: (_interpreter(), "-s", "-S", "-u", _SERVE),
        env={
            **env,
            "LAB_ORT_LIBRARY": "{folder}/libonnxruntime.so",
            "PYTHONPATH": "{folder}/lib",
        },
        options=options,
        venv=False,
    )


def _served(folder: Path) -> Sequence[str | Path]:
    return (folder / "venv/bin/python", _SERVE)


def _interpreter() -> Path:
    """The Python that this environment was made from."""
    return Path(sys.executable).resolve()


def _mark(recipe: VenvRecipe) -> str:
    digest = hashlib.sha256(f"{sys.version}\0{recipe.options}\0{recipe.env}\0".encode())
    digest.update(f"{[str(word) for word in recipe.argv(Path())]}".encode())
    if recipe.requirements:
        digest.update((paths.REQUIREMENTS / recipe.requirements).read_bytes())
    return digest.hexdigest()[:32]


def _made_from(folder: Path) -> str | None:
    try:
        image: Mapping[str, Any] = json.loads((folder / IMAGE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return image.get("fingerprint")


def _build(name: str, recipe: VenvRecipe, folder: Path, mark: str, step: Step) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # image.json comes last: without it, nothing is whole
    try:
        folder.mkdir(parents=True)
        if recipe.requirements:
            _install(recipe, folder, step)
        if recipe.requirements and not recipe.venv:
            _keep_library(folder)
        image = {
            "variant": name,
            "argv": [str(word) for word in recipe.argv(folder)],
            "env": {key: value.format(folder=folder) for key, value in recipe.env.items()},
            "unpacked_bytes": _bytes(folder) + _bytes(_APP if name in VARIANTS else folder / "-"),
            "fingerprint": mark,
        }
        (folder / IMAGE).write_text(json.dumps(image, indent=2) + "\n", encoding="utf-8")
    except CommandError as error:
        if "No space left on device" in error.what:
            raise _full(name) from error
        raise BuildError(
            f"The environment of {name} could not be built: {error.what}",
            remedy="Check with `lab doctor` that the package index can be reached.",
        ) from error
    except OSError as error:
        raise _full(name) if error.errno == 28 else error from error


def _full(name: str) -> DiskFullError:
    return DiskFullError(
        f"The disk is full: the environment of {name} could not be built.",
        remedy=f"Free some space; {paths.cache()} can be deleted at any time.",
    )


def _install(recipe: VenvRecipe, folder: Path, step: Step) -> None:
    requirements = paths.REQUIREMENTS / str(recipe.requirements)
    where: Sequence[str | Path] = ("--python", sys.executable, "--target", folder / "lib")
    if recipe.venv:
        run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"])
        where = ("--python", folder / "venv/bin/python")
    settings = folder / "uv.toml"
    settings.touch(mode=0o600)  # an index's address may hold a password
    settings.write_text(uv_toml(pip_settings(), reached=lambda _: True), encoding="utf-8")
    try:
        stream(
            [
                *(sys.executable, "-m", "uv", "--config-file", settings, "pip", "install"),
                *(*where, "--require-hashes", "--compile-bytecode", *recipe.options),
                *("--requirement", requirements),
            ],
            on_line=step.detail,
        )
    finally:
        settings.unlink()


def _keep_library(folder: Path) -> None:
    """Of ONNX Runtime's package, the C library alone, as in the image."""
    package = folder / "lib/onnxruntime"
    libraries = sorted((package / "capi").glob("libonnxruntime.*"))
    if not libraries:
        raise BuildError(
            "onnxruntime's wheel for this machine brings no C library.",
            remedy="Use the variant onnx instead.",
        )
    libraries[0].rename(folder / "libonnxruntime.so")
    shutil.rmtree(package)


def _bytes(folder: Path) -> int:
    """What the files below a folder take, a file with several names once."""
    seen = {}
    for parent, _, names in os.walk(folder):
        if Path(parent).name == _BYTECODE and folder == _APP:
            continue
        for name in names:
            status = (Path(parent) / name).lstat()
            seen[status.st_dev, status.st_ino] = status.st_size
    return sum(seen.values())
