"""Puts into the wheel what images and models are built from, which lies beside the package."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*_cache")
BUNDLED = (
    ".dockerignore",
    "compose.yaml",
    "dashboards",
    "lab",  # once more: the emulator's image is built from it
    "models",
    "requirements",
    "services",
)
"""See ``lab.paths.ROOT``."""


class BuildWithBundle(build_py):
    """In a checkout, as an editable install leaves it, all of it is there already."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        bundle = Path(self.build_lib) / "lab" / "bundle"
        shutil.rmtree(bundle, ignore_errors=True)
        for name in BUNDLED:
            source, target = HERE / name, bundle / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=LEFT_OUT)
            else:
                shutil.copy2(source, target)


setup(cmdclass={"build_py": BuildWithBundle})
