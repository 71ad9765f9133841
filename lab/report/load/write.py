"""All files of a load's report, each written whole or not at all."""

from pathlib import Path
from typing import Final

from lab.loadtest.folder import SUMMARY_FILE, LoadFolder
from lab.loadtest.summary import STEPS_FILE, LoadSteps
from lab.report.load import page, tables
from lab.report.load.summary import results
from lab.runfiles import write_whole

REPORT: Final = "report.html"
_MARKDOWN: Final = "report.md"


def write_report(folder: LoadFolder) -> Path:
    """Write ``summary.json``, ``report.md`` and ``report.html``; return the last.

    Raises ``UsageError`` for files that do not parse and ``DiskFullError``.
    """
    found = results(folder)
    write_whole(folder.path / SUMMARY_FILE, found.summary.to_json())
    write_whole(folder.path / _MARKDOWN, tables.document(found.summary).to_markdown())
    return write_whole(folder.path / REPORT, page.render(found))


def write_steps(steps: LoadSteps, folder: Path) -> Path:
    """The same of a search or a sweep, with ``steps.json``."""
    write_whole(folder / STEPS_FILE, steps.to_json())
    write_whole(folder / _MARKDOWN, tables.steps_document(steps).to_markdown())
    return write_whole(folder / REPORT, page.render_steps(steps))
