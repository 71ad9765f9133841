"""Import times: what ``-X importtime`` writes, by package."""

from dataclasses import replace

import pytest

from lab.advice.contents import Contents
from lab.advice.image.read import contents_of
from lab.advice.imports import NO_FILE, ImportTime, ModuleTime, by_package, parse
from tests.unit.images.layers.archives import Files, in_chunks, saved

SITE = "opt/venv/lib/python3.13/site-packages"
LOG = """\
import time: self [us] | cumulative | imported package
import time:       100 |        100 |   _io
[2026-01-01] gunicorn: Starting
import time:       200 |        300 | site
import time:      1000 |       1000 |     numpy._core
import time:      3000 |       4000 |   numpy
import time:       500 |       4500 | app.server
import time:       700 |       4600 | app.server
import time:      2000 |       2000 | numpy._core
"""


def contents(*paths: str, **config: object) -> Contents:
    files: Files = dict.fromkeys(paths, b"1")
    found = contents_of(in_chunks(saved([files])), image="x", image_id="y")
    return replace(found, config={"config": config})


def owners_of(*modules: str, paths: tuple[str, ...]) -> list[tuple[str, str]]:
    found = contents(*paths)
    return [
        next(iter(by_package([ModuleTime(name=name, self_us=1, cumulative_us=1)], found)))
        for name in modules
    ]


def test_of_a_module_that_several_workers_import_the_slowest_counts() -> None:
    found = parse(LOG)
    assert list(found) == ["_io", "site", "numpy._core", "numpy", "app.server"]
    assert found["app.server"] == ModuleTime(name="app.server", self_us=700, cumulative_us=4600)
    assert found["numpy._core"] == ModuleTime(name="numpy._core", self_us=2000, cumulative_us=2000)


def test_a_log_without_any_has_none() -> None:
    assert parse("Listening on :8080\nimport time is money\n") == {}


def test_a_package_s_modules_add_up_and_its_slowest_tells_what_it_brings() -> None:
    found = contents(
        f"{SITE}/numpy/__init__.py",
        f"{SITE}/numpy/_core/__init__.py",
        "usr/lib/python3.13/os.py",
        "usr/lib/python3.13/site.py",
    )
    assert by_package(parse(LOG).values(), found) == {
        ("Python", "numpy"): ImportTime(self_s=0.005, cumulative_s=0.005, modules=2),
        NO_FILE: ImportTime(self_s=0.0007, cumulative_s=0.0046, modules=1),
        ("", "/usr/lib/python3.13"): ImportTime(self_s=0.0003, cumulative_s=0.0003, modules=2),
    }


@pytest.mark.parametrize(
    "config",
    [
        {"WorkingDir": "/srv/program"},
        {"Entrypoint": ["/opt/venv/bin/python", "/srv/program/serve"]},
        {"Env": ["A=b", "PYTHONPATH=/none:/srv/program"]},
    ],
)
def test_the_program_s_own_folders_are_searched_first(config: dict[str, object]) -> None:
    found = contents("srv/program/yaml.py", f"{SITE}/yaml/__init__.py", **config)
    module = ModuleTime(name="yaml", self_us=1, cumulative_us=1)
    assert list(by_package([module], found)) == [("", "/srv/program")]


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("yaml", ("Python", "yaml")),
        ("_yaml", ("", f"/{SITE}")),
        ("abi", ("Python", "abi")),
        ("yaml.made.at.run.time", ("Python", "yaml")),
        ("_ssl", ("", "/usr/lib/python3.13/lib-dynload")),
        ("sys", ("", "/usr/lib/python3.13")),
        ("none_such", NO_FILE),
        ("json", ("", "/usr/lib/python3.13/json")),
    ],
)
def test_a_module_is_of_the_file_that_python_finds(module: str, package: tuple[str, str]) -> None:
    paths = (
        f"{SITE}/yaml/__init__.py",
        f"{SITE}/_yaml.cpython-313-x86_64-linux-gnu.so",
        f"{SITE}/abi.abi3.so",
        f"{SITE}/json/__init__.py",
        f"{SITE}/yaml/__pycache__/sys.cpython-313.pyc",
        "usr/lib/python3.13/os.pyc",
        "usr/lib/python3.13/json/__init__.py",
        "usr/lib/python3.13/lib-dynload/_ssl.cpython-313-x86_64-linux-gnu.so",
    )
    assert owners_of(module, paths=paths) == [package]
