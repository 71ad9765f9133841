"""From an empty process to a warm model, with the marks on the way."""

import json
import os
import threading
from math import prod

from . import backends, card, tasks
from .crowd import Crowd
from .errors import StartError
from .marks import seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .backends import Backend, BackendModule
    from .card import Card
    from .marks import Marks
    from .service import Service
    from .settings import Settings
    from .tasks import Task

_SPARE = 16
"""A model is loaded twice only in a container whose memory it fits into so many times."""

EXIT_CODE = 3
"""Of a service that could not start. Gunicorn gives up, instead of trying for ever, on a worker
that ends with 3."""


def load(
    settings: "Settings", model: "Card", runtime: "BackendModule", marks: "Marks"
) -> "Backend":
    """Load the model and run it once, on zeros; raises ``StartError``."""
    backend = runtime.load(
        settings.model_dir, model, threads=settings.threads, library=settings.ort_library
    )
    marks.take("model_loaded")
    zeros = [(one.first, bytes(prod(one.first) * one.item_bytes)) for one in model.inputs]
    try:
        answer = backend.predict(zeros)
    except Exception as error:  # the runtime's errors share no base class
        fault = " ".join(str(error).split())
        raise StartError(f"The warm-up prediction failed: {fault}") from error
    for output, (shape, _) in zip(model.outputs, answer, strict=True):
        if not output.fits(shape):
            raise StartError(
                f"The model gives {output.name} as {list(shape)}, its card says {output.dtype} of "
                f"{list(output.shape)}."
            )
    marks.take("warmed_up")
    return backend


def crowd(
    settings: "Settings", model: "Card", runtime: "BackendModule", backend: "Backend"
) -> Crowd:
    """The loaded model, and how to load it again where that pays and there is memory for it."""

    def another() -> "Backend":
        return runtime.load(settings.model_dir, model, threads=1, library=settings.ort_library)

    limit = settings.memory_bytes
    pays = settings.threads > 1 and settings.backend != "tensorflow"
    if pays and limit is not None:
        pays = _model_bytes(settings.model_dir) <= limit // _SPARE
    return Crowd(backend, cores=settings.threads, another=another if pays else None)


def _model_bytes(model_dir: str) -> int:
    """Of the graph, and of the weights beside it."""
    size = os.stat(f"{model_dir}/model.onnx").st_size  # noqa: PTH116
    try:
        return size + os.stat(f"{model_dir}/model.data").st_size  # noqa: PTH116
    except FileNotFoundError:
        return size


class Start:
    """One process's start: the model loads in a thread while the server's modules come in.

    The owner makes a ``Start`` (that imports the runtime), calls ``begin``, imports the rest, calls
    ``imported``, and ``listening`` once its socket is served. Whichever comes last announces.
    """

    def __init__(
        self,
        service: "Service",
        marks: "Marks",
        *,
        pid: int,
        folder: str | None,
        failed: "Callable[[str], None]",
    ) -> None:
        self._service = service
        self._marks = marks
        self._pid = pid
        self._folder = folder
        self._failed = failed
        self._missing = {"loaded", "listening"}
        self._lock = threading.Lock()
        self._imported = threading.Event()
        self.loaded = threading.Event()
        """The service can predict."""
        self._card: Card
        self._task: type[Task]
        # Imported by the caller's thread, first: threads that import at the same time may see
        # half of a module.
        self._runtime = backends.module(service.settings.backend)

    def begin(self) -> None:
        """Read the card and start to load the model."""
        try:
            self._card = card.read(self._service.settings.model_dir)
        except StartError as error:
            self._failed(str(error))
            return
        threading.Thread(target=self._load, name="load", daemon=True).start()

    def imported(self) -> None:
        """All that is needed to answer a request is imported, but what the model's task needs."""
        try:
            self._task = tasks.task_class(self._card, self._service.settings.model_dir)
        except StartError as error:
            self._failed(str(error))
            return
        self._marks.take("imports")
        self._imported.set()

    def listening(self) -> None:
        """The server takes connections."""
        self._marks.take("listening")
        self._reached("listening")

    def _load(self) -> None:
        settings = self._service.settings
        try:
            backend = load(settings, self._card, self._runtime, self._marks)
            self._imported.wait()
            from .predictor import Predictor  # the caller has imported it

            task = tasks.fit(self._task, self._card, settings)
            self._service.metrics.describe(task.features, self._card.reference)
            self._service.predictor = Predictor(
                crowd(settings, self._card, self._runtime, backend), task
            )
            self.loaded.set()
            self._reached("loaded")
        except StartError as error:
            self._failed(str(error))
        except BaseException as error:  # noqa: BLE001  # a thread's error would get lost
            self._failed(f"The service cannot start: {type(error).__name__}: {error}")

    def _reached(self, what: str) -> None:
        with self._lock:
            self._missing.discard(what)
            if self._missing:
                return
        record, first = self._marks.record(pid=self._pid), True
        if self._folder is not None:
            record, first = first_record(self._folder, record)
        self._service.startup_record = record
        self._service.metrics.started(seconds(record))
        if first:
            print(json.dumps({"lab_startup": record}), flush=True)


def first_record(folder: str, record: dict[str, object]) -> tuple[dict[str, object], bool]:
    """The record of the first worker that gets here, and whether that is this one."""
    final = f"{folder}/startup.json"
    own = f"{final}.{os.getpid()}"
    with open(own, "w", encoding="ascii") as file:  # noqa: PTH123
        json.dump(record, file)
    try:
        os.link(own, final)  # at once and only if there is none yet
        first = True
    except FileExistsError:
        first = False
    os.unlink(own)  # noqa: PTH108
    with open(final, encoding="ascii") as file:  # noqa: PTH123
        value: dict[str, object] = json.load(file)
    return value, first
