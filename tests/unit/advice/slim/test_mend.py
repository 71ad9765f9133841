"""How a trouble is traced to the files that are missing."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import pytest

from lab.advice.slim.bisect import Budget
from lab.advice.slim.mend import Tracer, hints
from lab.advice.slim.prove import Trouble
from lab.advice.slim.select import Level, Selection
from lab.progress import Silent
from tests.unit.advice.slim.images import contents, file

SITE = "/usr/lib/python3/site-packages"
IMAGE = contents(
    *(file(f"/opt/data/part{number}", 100 + number, ("", "/opt/data")) for number in range(40)),
    *(file(f"{SITE}/pkg{number}/mod.py", 5, ("Python", f"pkg{number}")) for number in range(30)),
    file(f"{SITE}/yaml/__init__.py", 5, ("Python", "yaml")),
    file("/usr/lib/libgomp.so.1", 50, ("Debian", "libgomp1")),
    file("/app/errors.txt", 3, ("", "/app")),
)
REMOVED = Selection(level=Level.FILES, contents=IMAGE, kept=frozenset())


class Container:
    """Works only with some files; counts how often it is tried, and with how many."""

    def __init__(self, *needs: str) -> None:
        self.needs = set(needs)
        self.tried: list[Collection[str]] = []

    @contextmanager
    def with_files(self, image: str, paths: Collection[str]) -> Iterator[str]:
        assert image == "candidate"
        self.tried.append(paths)
        yield "patched"

    def trouble(self, log: str = "") -> Trouble:
        return Trouble(
            what="half a body",
            words="500 instead of 400",
            log=log,
            persists=lambda image: not self.needs <= set(self.tried[-1]),
        )

    def trace(self, log: str = "", budget: int = 100) -> tuple[Collection[str], bool] | None:
        tracer = Tracer(
            image="candidate",
            selection=REMOVED,
            with_files=self.with_files,
            budget=Budget(budget),
        )
        cure = tracer.trace(self.trouble(log), Silent())
        return None if cure is None else (sorted(cure.paths), cure.traced)


def test_the_file_that_the_log_names_is_tried_first_and_is_enough() -> None:
    container = Container("/app/errors.txt")
    log = "FileNotFoundError: [Errno 2] No such file or directory: '/app/errors.txt'"
    assert container.trace(log) == (["/app/errors.txt"], True)
    assert [len(paths) for paths in container.tried] == [1]


def test_without_a_hint_the_file_is_found_by_halving() -> None:
    container = Container("/opt/data/part17")
    assert container.trace() == (["/opt/data/part17"], True)
    assert len(container.tried) < 30


def test_files_of_two_packages_are_found_together() -> None:
    container = Container("/opt/data/part3", f"{SITE}/pkg9/mod.py")
    assert container.trace() == (["/opt/data/part3", f"{SITE}/pkg9/mod.py"], True)


def test_a_hint_that_is_not_enough_does_not_lead_astray() -> None:
    container = Container("/opt/data/part3")
    assert container.trace("cannot read /app/errors.txt") == (["/opt/data/part3"], True)


def test_what_all_files_together_do_not_end_is_not_theirs() -> None:
    assert Container("/never/there").trace() is None


def test_a_library_that_was_stripped_is_a_suspect_like_those_that_are_gone() -> None:
    library = "/usr/lib/libgomp.so.1"
    stays = Selection(
        level=Level.FILES,
        contents=IMAGE,
        kept=frozenset({library}),
        stripped={library: 20},
    )
    container = Container(library)
    for log, most in (("", 12), (f"OSError: {library}: invalid ELF header", 1)):
        container.tried.clear()
        tracer = Tracer(
            image="candidate",
            selection=stays,
            with_files=container.with_files,
            budget=Budget(most),
        )
        cure = tracer.trace(container.trouble(log), Silent())
        assert cure is not None
        assert (list(cure.paths), cure.traced) == ([library], True)


def test_without_tries_for_the_file_its_package_is_the_answer() -> None:
    container = Container(f"{SITE}/pkg9/mod.py", "/opt/data/part3")
    found = container.trace(budget=26)
    assert found is not None
    paths, traced = found
    assert not traced
    assert {"/opt/data/part3", f"{SITE}/pkg9/mod.py"} <= set(paths)


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ("ModuleNotFoundError: No module named 'yaml'", f"{SITE}/yaml/__init__.py"),
        ("ModuleNotFoundError: No module named 'pkg3.mod'", f"{SITE}/pkg3/mod.py"),
        (
            "ImportError: libgomp.so.1: cannot open shared object file: No such file",
            "/usr/lib/libgomp.so.1",
        ),
        ("open('/app/errors.txt'): no such file", "/app/errors.txt"),
    ],
)
def test_errors_name_what_they_lack(said: str, path: str) -> None:
    assert hints(REMOVED.removed, said) == [path]
