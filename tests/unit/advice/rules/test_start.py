"""What a start need not do: told from what it did, silent where it did not."""

import pytest

from lab.advice.imports import ImportTime
from lab.advice.recording import Stage
from lab.advice.rules import start
from tests.unit.advice.rules.made import MB, SITE, Made, python

PIP = f"{SITE}/pip/_internal/commands/__pycache__/install.cpython-313.pyc"


@pytest.mark.parametrize(
    "path", [PIP, "/usr/lib/node_modules/npm/lib/commands/ci.js", "/usr/bin/apt-get"]
)
def test_an_installation_before_ready_is_urgent(path: str) -> None:
    (one,) = Made().opened(path).asked(start.installed_at_start)
    assert one.urgent
    assert path in one.seen


def test_an_installer_that_is_there_or_only_told_its_version_is_no_installation() -> None:
    made = Made().file(PIP).opened(f"{SITE}/pip/__init__.py").looked_at("/usr/bin/apt-get")
    assert made.asked(start.installed_at_start) == []


def test_what_must_be_done_comes_first_whatever_else_would_save() -> None:
    made = Made(commands=("RUN apt-get update",)).opened("/usr/bin/apt-get")
    made.file("/var/lib/apt/lists/x", 900 * MB)
    first, second = made.advice()
    assert (first.urgent, second.urgent) == (True, False)


def test_a_load_in_the_first_request_is_told_with_what_the_caller_waited() -> None:
    made = Made(waited_first_s=1.5)
    made.file(f"{SITE}/big/x.so", 40 * MB, package=python("big 1"), read=Stage.FIRST)
    (one,) = made.asked(start.late_loads)
    assert "big 1" in one.seen
    assert one.saves.moved_s == 1.5
    assert one.saves.seconds == 0


def test_a_first_request_that_reads_next_to_nothing_is_none() -> None:
    made = Made(waited_first_s=0.05).file("/app/x.py", 3000, read=Stage.FIRST)
    made.file("/app/model.onnx", 80 * MB, read=Stage.READY)
    assert made.asked(start.late_loads) == []


SCRIPT = "import multiprocessing\nworkers = multiprocessing.cpu_count()\n"


def serving(processes: int, script: str = SCRIPT) -> Made:
    made = Made(cpus=4, processes={"gunicorn": processes})
    made.texts["/opt/program/serve"] = script
    return made


def test_a_worker_for_each_processor_is_told_with_the_program_that_counts_them() -> None:
    (one,) = serving(5).asked(start.workers)
    assert "/opt/program/serve" in one.seen
    assert "5 processes gunicorn" in one.seen


def test_workers_that_are_not_counted_or_can_be_set_are_left_alone() -> None:
    assert serving(2).asked(start.workers) == []
    assert serving(5, "workers = 4\n").asked(start.workers) == []
    assert (
        serving(5, "# workers: not cpu_count() any more\nworkers = 4\n").asked(start.workers) == []
    )
    made = serving(5)
    made.env = ("WEB_CONCURRENCY=4",)
    assert made.asked(start.workers) == []
    made = serving(1)
    made.cpus = 1
    assert made.asked(start.workers) == []


def importing(text: str) -> Made:
    made = Made().file(f"{SITE}/pandas/__init__.py", 900, package=python("pandas 2.0"))
    made.opened(f"{SITE}/pandas/__init__.py")
    made.imports[python("pandas 2.0")] = ImportTime(self_s=0.3, cumulative_s=0.4, modules=300)
    made.texts["/app/serve.py"] = text
    return made


def test_an_import_that_the_program_never_names_again_costs_what_it_brings() -> None:
    (one,) = importing("import os\nimport pandas as pd\nprint(os.name)\n").asked(
        start.unused_imports
    )
    assert one.saves.import_s == 0.4
    assert one.saves.seconds == 0.4
    assert one.patch == "# /app/serve.py\n- import pandas as pd"


@pytest.mark.parametrize(
    "text",
    [
        "import pandas as pd\npd.DataFrame()\n",
        "import pandas  # noqa: F401\n",
        "import pandas\n__all__ = ['pandas']\n",
        "def f():\n    import pandas\n",
        "import pandas as",
    ],
)
def test_an_import_that_is_used_or_meant_is_left_alone(text: str) -> None:
    assert importing(text).asked(start.unused_imports) == []


def test_an_import_that_something_used_needs_anyway_saves_nothing() -> None:
    made = importing("import pandas\n")
    made.file(f"{SITE}/mlflow/x.py", package=python("mlflow 3"), read=Stage.READY)
    made.depends = {python("mlflow 3"): [python("pandas 2.0")]}
    assert made.asked(start.unused_imports) == []
    made = importing("import pandas\n")
    made.texts["/app/other.py"] = "from pandas import DataFrame\n"
    assert made.asked(start.unused_imports) == []


PLAIN = """
from fastapi import FastAPI, Request, Response
app = FastAPI()
@app.post("/invocations")
async def invocations(request: Request) -> Response:
    return Response(await request.body())
"""


def fastapi(text: str) -> Made:
    made = Made()
    made.texts["/app/main.py"] = text
    for name, seconds in (("fastapi 0.1", 0.15), ("pydantic 2.0", 0.05), ("starlette 1.0", 0.1)):
        made.imports[python(name)] = ImportTime(self_s=seconds, cumulative_s=seconds, modules=9)
    return made


def test_fastapi_of_which_only_starlettes_part_is_used_costs_what_it_and_pydantic_take() -> None:
    (one,) = fastapi(PLAIN).asked(start.http_stack)
    assert one.saves.import_s == pytest.approx(0.2)


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace("request: Request", "item: Item"),
        PLAIN.replace("Request, Response", "Request, Response, Depends", 1),
        PLAIN.replace('"/invocations"', '"/invocations", response_model=int'),
        f"{PLAIN}from pydantic import BaseModel\n",
        "import fastapi\n",
        "from flask import Flask\n",
    ],
)
def test_fastapi_that_is_used_for_what_it_is_stays(text: str) -> None:
    assert fastapi(text).asked(start.http_stack) == []


def test_fastapi_that_takes_no_time_stays() -> None:
    made = fastapi(PLAIN)
    made.imports.clear()
    assert made.asked(start.http_stack) == []
