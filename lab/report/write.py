"""All files of a report, each written whole or not at all."""

import errno
import os
import tempfile
from pathlib import Path
from typing import Final

from lab.errors import DiskFullError, UsageError
from lab.report.markdown import to_markdown
from lab.report.page.html import render
from lab.report.summary import summarise, to_csv

REPORT: Final = "report.html"


def write_report(run_dir: Path) -> Path:
    """Write ``summary.json``, ``summary.csv``, ``report.md`` and ``report.html``; return the last.

    Raises ``UsageError`` for a folder that is no run and ``DiskFullError``.
    """
    results = summarise(run_dir)
    write_whole(run_dir / "summary.json", results.summary.to_json())
    write_whole(run_dir / "summary.csv", to_csv(results.summary))
    write_whole(run_dir / "report.md", to_markdown(results))
    return write_whole(run_dir / REPORT, render(results))


def write_whole(path: Path, text: str | bytes) -> Path:
    """Write beside, then rename: a reader sees the old file or the new one, never a part."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode() if isinstance(text, str) else text)
            Path(beside).chmod(0o644)
            Path(beside).replace(path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFullError(
                f"The disk that holds {path} is full.",
                remedy="Make room, then: lab report " + path.parent.name,
            ) from error
        raise UsageError(
            f"{path} cannot be written: {error.strerror}.", remedy="Choose another folder: --out."
        ) from error
    return path
