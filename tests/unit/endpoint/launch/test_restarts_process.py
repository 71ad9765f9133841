"""The same on the engine without containers: a real process, started again."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lab.endpoint.live import LaunchFailed
from lab.engine.process.engine import ProcessEngine
from lab.spec import Phase
from lab.start.deaths import IN_THE_IMAGE
from tests.unit.endpoint.launching import REAL_TIME, Scene

pytestmark = pytest.mark.anyio

PLAN = replace(REAL_TIME, image="inference-lab/toy:amd64", startup_timeout_s=600)
PROGRAM = """\
import http.server, os, signal, sys
how = os.environ["HOW"]
if how == "bus":
    os.kill(os.getpid(), signal.SIGBUS)
if how == "module":
    import a_module_of_nobody
if not os.path.exists("first"):
    open("first", "w").close()
    sys.exit("the first start fails")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
print("serving", flush=True)
port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def engine(tmp_path: Path) -> ProcessEngine:
    folder = tmp_path / "venvs" / "toy"
    folder.mkdir(parents=True)
    (tmp_path / "toy.py").write_text(PROGRAM)
    argv = [sys.executable, "-S", str(tmp_path / "toy.py")]
    image = {"variant": "toy", "argv": argv, "env": {}, "unpacked_bytes": 1}
    (folder / "image.json").write_text(json.dumps(image))
    return ProcessEngine(cache=tmp_path)


async def test_a_process_is_started_again_in_the_same_folder(
    engine: ProcessEngine, tmp_path: Path
) -> None:
    scene = Scene(engine, tmp_path, tries=None)
    server = await scene.launch(replace(PLAN, env={"HOW": "once"}))
    assert await scene.launcher.ping(server)
    assert server.setup is not None
    assert 0.01 < server.setup.phases_s[Phase.BOOT] <= server.setup.total_s
    await scene.launcher.stop(server)
    filed = [line.split(" ", 2)[2] for line in scene.logs.tail("tea")]
    assert filed[0] == "the first start fails"
    assert "started again" in filed[1]
    assert filed[2:] == ["serving"]
    await scene.close()


async def test_a_signal_is_named_as_of_a_container(engine: ProcessEngine, tmp_path: Path) -> None:
    scene = Scene(engine, tmp_path, tries=1)
    with pytest.raises(LaunchFailed, match=r"bus error .SIGBUS.: most often /dev/shm is full"):
        await scene.launch(replace(PLAN, env={"HOW": "bus"}))
    await scene.close()


async def test_what_is_wrong_in_its_environment_ends_it_soon(
    engine: ProcessEngine, tmp_path: Path
) -> None:
    assert "missing_module" in IN_THE_IMAGE
    scene = Scene(engine, tmp_path, tries=None)
    with pytest.raises(LaunchFailed, match="Start 1 ended of the same, and no further one"):
        await scene.launch(replace(PLAN, env={"HOW": "module"}))
    await scene.close()
