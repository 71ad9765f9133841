"""All files of a report, each written whole or not at all."""

from pathlib import Path
from typing import Final

from lab.coldstart.summary import SUMMARY_FILE
from lab.report.formats.markdown import to_markdown
from lab.report.page.html import render
from lab.report.predict import section
from lab.report.summary import summarise, to_csv
from lab.runfiles import write_whole

REPORT: Final = "report.html"


def write_report(run_dir: Path) -> Path:
    """Write ``summary.json``, ``summary.csv``, ``report.md`` and ``report.html``; return the last.

    Raises ``UsageError`` for a folder that is no run and ``DiskFullError``.
    """
    results = summarise(run_dir)
    write_whole(run_dir / SUMMARY_FILE, results.summary.to_json())
    write_whole(run_dir / "summary.csv", to_csv(results.summary))
    predicted = section.of(results)
    write_whole(run_dir / "report.md", to_markdown(results, predicted))
    return write_whole(run_dir / REPORT, render(results, predicted))
