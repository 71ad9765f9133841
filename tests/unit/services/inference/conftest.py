"""A tiny model, ONNX Runtime's library, and the service as a child process."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.docker.contract_client")

from tests.docker.contract_client import Served, wait_until_ready  # noqa: E402
from tests.ports import free_port  # noqa: E402
from tests.timing import PATIENCE_S  # noqa: E402
from tests.unit.services.inference import tiny  # noqa: E402

SERVE = Path(__file__).parents[4] / "services/inference/serve"


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def ort_library() -> Path:
    """The shared library inside the installed package, found without importing the package."""
    for folder in sys.path:
        for found in sorted(Path(folder).glob("onnxruntime/capi/libonnxruntime.so*")):
            return found
    pytest.skip("the installed onnxruntime brings no libonnxruntime.so")


STACKS: Mapping[str, Mapping[str, str]] = {
    "fastapi": {"LAB_HTTP": "fastapi", "LAB_BACKEND": "onnx"},
    "slim": {"LAB_HTTP": "slim", "LAB_BACKEND": "onnx-capi"},
    "nginx": {"LAB_HTTP": "fastapi", "LAB_BACKEND": "onnx", "LAB_NGINX": "1"},
}


class Child:
    """``serve`` in a process of its own."""

    def __init__(self, env: Mapping[str, str], folder: Path, *arguments: str) -> None:
        self.port = int(env.get("SAGEMAKER_BIND_TO_PORT") or free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        self._served: Served | None = None
        self._log = folder / f"log-{self.port}"
        own = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(SERVE), *(arguments or ("serve",))],
                env={
                    **own,
                    "SAGEMAKER_BIND_TO_PORT": str(self.port),
                    "LAB_BIND_HOST": "127.0.0.1",
                    "TMPDIR": str(folder),
                    **env,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
            )

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def ready(self) -> Served:
        wait_until_ready(self.url, within_s=PATIENCE_S)
        self._served = Served("127.0.0.1", self.port)
        return self._served

    def close(self) -> None:
        if self._served is not None:
            self._served.http.close()

    def end(self, *, within_s: float = PATIENCE_S) -> int:
        return self.process.wait(within_s)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The process and all that it started stand still."""
        processes = [self.process.pid]
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
            for task in Path(f"/proc/{pid}/task").iterdir():
                processes += map(int, (task / "children").read_text().split())
        try:
            yield
        finally:
            for pid in processes:
                os.kill(pid, signal.SIGCONT)


@contextmanager
def child(env: Mapping[str, str], folder: Path, *arguments: str) -> Iterator[Child]:
    made = Child(env, folder, *arguments)
    try:
        yield made
    finally:
        made.close()
        made.process.terminate()
        try:
            made.process.wait(30)
        finally:
            made.process.kill()
            made.process.wait()


Start = Callable[..., Child]


@contextmanager
def starting(folder: Path, model_dir: Path, ort_library: Path) -> Iterator[Start]:
    """Starts ``serve`` with the tiny model; environment variables by keyword."""
    with ExitStack() as stack:

        def begin(stack_name: str, *arguments: str, **env: str) -> Child:
            base = {"LAB_MODEL_DIR": str(model_dir), "LAB_ORT_LIBRARY": str(ort_library)}
            return stack.enter_context(
                child({**base, **STACKS[stack_name], **env}, folder, *arguments)
            )

        yield begin


@pytest.fixture
def start(short: Path, model_dir: Path, ort_library: Path) -> Iterator[Start]:
    with starting(short, model_dir, ort_library) as begin:
        yield begin
