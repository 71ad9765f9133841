"""Where the lab keeps its things: the checkout's own folders, and the machine's private engine."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

SERVICES = ROOT / "services"
MODELS = ROOT / "models"
REQUIREMENTS = ROOT / "requirements"
PLANS = Path(__file__).resolve().parent / "plans"


def home() -> Path:
    """The folder that holds ``artifacts``, ``runs`` and caches: ``LAB_HOME``, else the checkout."""
    return Path(os.environ.get("LAB_HOME", ROOT))


def artifacts() -> Path:
    """Built models, a folder each."""
    return home() / "artifacts"


def runs() -> Path:
    """Run folders, and the link ``latest``."""
    return home() / "runs"


def state() -> Path:
    """What the stack remembers: the emulator's store, logs, unpacked models. ``LAB_STATE``.

    The engine mounts it under this path, so it is absolute.
    """
    return Path(os.environ.get("LAB_STATE") or home() / "state").absolute()


def cache() -> Path:
    """What can be deleted at any time and is made again: virtual environments, settings found."""
    return home() / ".cache"
