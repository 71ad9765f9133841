"""What the docker tests need, made in one go before they run side by side.

``python -m tests.docker.prepare [short|long]``. A test that runs alone makes what it needs itself.
"""

import signal
import sys

from lab.artifacts import build, store
from lab.cli.console import ConsoleProgress
from lab.engine.docker.engine import DockerEngine
from lab.engine.select import open_engine
from lab.images.build import ensure
from lab.spec import FLOOR
from tests.docker.conftest import MOBILENET

IMAGES = (
    *("registry", "coldhost", FLOOR, "trainer", "onnx", "onnx-slim", "slim"),
    *("endpoint", "s3", "prometheus", "pushgateway"),
)
SHORT = (MOBILENET, "recommender-niser")
LONG = ("baseline", "twostage")


def main() -> None:
    """Build images and models."""
    # A shell may have told what it starts in the background to ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    whole = sys.argv[1:] == ["long"]
    progress = ConsoleProgress()
    engine = open_engine(progress)
    if not isinstance(engine, DockerEngine):
        progress.note("No container engine can be had here: the tests that need one will skip.")
        return
    try:
        native = engine.facts().platform
        targets = (*IMAGES, *(LONG if whole else ()))
        ensure(targets, platform=native, engine=engine, progress=progress)
        ensure([FLOOR], platform=native.other, engine=engine, progress=progress)
        models = store.buildable() if whole else SHORT
        build.ensure(models, engine=engine, progress=progress)
    finally:
        engine.close()


if __name__ == "__main__":
    main()
