"""What the emulator does as AWS does: said beside the test that proves it, gathered in a table.

``@fidelity`` on a test is one row of ``docs/fidelity.md``; ``python -m tests.fidelity`` writes the
page anew, and ``tests/unit/endpoint/test_fidelity.py`` fails while it is not what the tests say.
"""

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from lab.paths import ROOT

PAGE: Final = ROOT / "docs/fidelity.md"
TESTS: Final = ROOT / "tests"

DOCUMENTED: Final = "documented"
"""AWS's own pages or its service model say so."""
SEEN: Final = "seen"
"""Somebody saw AWS do it and published it."""
OURS: Final = "ours"
"""AWS publishes nothing: the lab had to choose."""
ABSENT: Final = "not emulated"
"""AWS does something else; the statement says what is answered here."""

_Test = TypeVar("_Test", bound=Callable[..., object] | type)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One statement about the emulator, and the test that fails when it is not true."""

    subject: str
    statement: str
    grade: str
    source: str
    test: str


def fidelity(subject: str, statement: str, grade: str, source: str) -> Callable[[_Test], _Test]:
    """Mark a test as the proof of a row of the table. All arguments are literal strings.

    ``subject`` is an operation of AWS's (``CreateModel``), or an area of ``SECTIONS``.
    ``statement`` says what AWS does (for ``OURS`` and ``ABSENT``: what the lab does instead), so
    that it can be read without the test. ``source`` is an address, a member of botocore's service
    model, or the reason of a choice.
    """
    del subject, statement, grade, source  # read from the source text, not from here

    def marked(test: _Test) -> _Test:
        return test

    return marked


AREAS: Final[Mapping[str, str]] = {
    "Answers": "What a container answers to `/invocations`, and what the caller gets.",
    "Headers": "What a container is sent, and what comes back.",
    "Routing": "Which container gets a request; sessions.",
    "Versions": "What is fixed when: images, archives, configurations.",
    "Model data": "What comes from S3 into `/opt/ml/model`.",
    "Containers": "How a container starts, lives, is looked after and ends.",
    "Serverless": "Cold starts, concurrency, limits.",
    "Asynchronous": "Queues, results, failures, notifications.",
    "Streams": "Answers that come in parts.",
    "Limits": "Sizes, times, quotas.",
    "Updates": "From one fleet to the next.",
    "Data capture": "What is written of requests and answers.",
    "Metrics": "CloudWatch's, under Prometheus's names.",
    "Other services": "What programs ask beside SageMaker.",
    "Clients": "Programs that run unmodified.",
}


def rows(folder: Path = TESTS) -> Sequence[Row]:
    """Every row of every test below ``folder``, in the order of the files. Imports nothing."""
    found: list[Row] = []
    for path in sorted(folder.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "fidelity(" in text:
            found += _rows_of(ast.parse(text), path.relative_to(ROOT).as_posix())
    return found


def _rows_of(tree: ast.Module, file: str) -> Iterator[Row]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and getattr(mark.func, "id", "") == "fidelity":
                subject, statement, grade, source = (_text(argument) for argument in mark.args)
                yield Row(
                    subject=subject,
                    statement=statement,
                    grade=grade,
                    source=source,
                    test=f"{file}::{node.name}",
                )


def _text(argument: ast.expr) -> str:
    """A literal, or one of this module's grades."""
    if isinstance(argument, ast.Name):
        return str(globals()[argument.id])
    return str(ast.literal_eval(argument))


_HEAD: Final = """# What the emulator does as AWS does

Made by `python -m tests.fidelity` from the tests: do not edit. A test holds it equal. Each row is
one statement, with the test that fails when it is not true here.

| grade | what it rests on |
|---|---|
| documented | AWS's pages, or the service model that boto3 carries |
| seen | somebody saw AWS do it, and published it |
| ours | AWS publishes nothing: the lab had to choose, and says why |
| not emulated | AWS does more: the row says what is answered here instead |

Whoever sees AWS answer otherwise can show it: `lab endpoint record` keeps what AWS answered, and
`lab endpoint replay` sets the emulator's answers beside it.
"""


def page(found: Sequence[Row]) -> str:
    """The table in Markdown: areas first, then operations by name."""
    by_subject: dict[str, list[Row]] = defaultdict(list)
    for row in found:
        by_subject[row.subject].append(row)
    operations = sorted(by_subject.keys() - AREAS.keys())
    parts = [_HEAD, _counted(found)]
    for subject in (*(area for area in AREAS if area in by_subject), *operations):
        intro = AREAS.get(subject)
        parts.append(f"## {subject}\n" + (f"\n{intro}\n" if intro else ""))
        parts.append("| what | grade | source | test |\n|---|---|---|---|")
        order = [DOCUMENTED, SEEN, OURS, ABSENT]
        lines = sorted(by_subject[subject], key=lambda row: order.index(row.grade))
        parts += [*(_line(row) for row in lines), ""]
    return "\n".join(parts)


def _counted(found: Sequence[Row]) -> str:
    counts = [
        f"{sum(row.grade == grade for row in found)} {grade}"
        for grade in (DOCUMENTED, SEEN, OURS, ABSENT)
    ]
    return f"{len(found)} statements: {', '.join(counts)}.\n"


def _line(row: Row) -> str:
    file, _, name = row.test.partition("::")
    test = f"[{name.removeprefix('test_')}](../{file})"
    cells = (row.statement, row.grade, _linked(row.source), test)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _linked(source: str) -> str:
    """Addresses as links with a short text."""
    words = []
    for word in source.split():
        address = word.rstrip(",;")
        if address.startswith("https://"):
            short = address.removeprefix("https://").removeprefix("github.com/").rstrip("/")
            short = short.removeprefix("docs.aws.amazon.com/").removesuffix(".html")
            words.append(f"[{short}]({address}){word[len(address) :]}")
        else:
            words.append(word)
    return " ".join(words)


if __name__ == "__main__":
    PAGE.write_text(page(rows()), encoding="utf-8")
