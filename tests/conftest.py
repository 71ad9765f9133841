"""Every test knows its kind by its folder."""

import gc
import signal
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_ORDER = ("unit", "cloud", "docker", "browser")
"""The quick ones first; browsers last, for their driver keeps an event loop running."""


def pytest_configure() -> None:
    # A shell ignores Ctrl-C for what it starts in the background, and some tests press it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        kind = _kind(item)
        if kind in {"docker", "browser"}:
            item.add_marker(kind)
    items.sort(key=lambda item: _ORDER.index(_kind(item)))


def pytest_collection_finish() -> None:
    # All that was imported stays to the end: no need to go through it again and again, and once
    # more before every cold start that is measured.
    gc.collect()
    gc.freeze()


def _kind(item: pytest.Item) -> str:
    return item.path.relative_to(_HERE).parts[0]
