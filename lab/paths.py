"""Where the lab finds what it is made of, and where it keeps what it makes."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_BUNDLE = _PACKAGE / "bundle"
"""Of a wheel (``setup.py``): what lies beside the package in a checkout."""

ROOT = _BUNDLE if _BUNDLE.is_dir() else _PACKAGE.parent
"""The folder of ``services``, ``models`` and ``requirements``: what images and models are built
from. Nothing is written there."""

IN_CHECKOUT = ROOT != _BUNDLE
"""Whether a person may be standing in it."""

SERVICES = ROOT / "services"
MODELS = ROOT / "models"
REQUIREMENTS = ROOT / "requirements"
PLANS = _PACKAGE / "plans"


def home() -> Path:
    """The folder that holds ``artifacts``, ``runs`` and caches.

    ``LAB_HOME``; else the checkout, or ``inference-lab`` in the user's data folder (XDG Base
    Directory Specification) where the lab was installed without one.
    """
    if given := os.environ.get("LAB_HOME"):
        return Path(given)
    if IN_CHECKOUT:
        return ROOT
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "inference-lab"


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
