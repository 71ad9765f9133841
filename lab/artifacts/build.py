"""Builds models inside the trainer image; nothing half-made is ever seen."""

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from lab import paths
from lab.artifacts import fingerprint, store
from lab.artifacts.archive import pack, sha256
from lab.engine.api import Container, ContainerSpec, Engine, Mount
from lab.engine.interrupt import uninterrupted
from lab.errors import BuildError, UsageError
from lab.images.build import ensure as ensure_images
from lab.images.hostfiles import ca_bundle, pip_settings
from lab.images.variants import image_ref
from lab.lock import heavy_work
from lab.progress import Progress, Step
from lab.spec import LABEL_OWNER, LABEL_ROLE, EngineKind, Runtime

ROLE: Final = "trainer"

_CODE: Final = "/lab/models"
_SERVICE: Final = "/lab/app"
_OUT: Final = "/out"
_DATA: Final = "/data"
_TRUSTED: Final = "/etc/ssl/certs/ca-certificates.crt"
_ENV: Final = {"PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
_POLL_S: Final = 0.5
_COUNTED: Final = re.compile(r"(\d+)/(\d+)")
_NOISE: Final = re.compile(r"[IWEF]\d{4} |WARNING|$")
"""What TensorFlow's libraries write before they can be told to be quiet."""
_UNFINISHED: Final = ".building-"


def ensure(
    models: Sequence[str],
    *,
    engine: Engine,
    progress: Progress,
    data: Path | None = None,
    retrain: bool = False,
    force: bool = False,
) -> None:
    """Build what is missing or stale; milliseconds when nothing is.

    The weights are those in the repository, unless ``retrain`` is asked for, or ``data``, a folder
    with the APTOS 2019 images. Without either, whatever a model was built from is kept.
    Raises ``BuildError`` with the trainer's last lines.
    """
    _check_data(data)

    def due(model: str) -> bool:
        return force or stale(model, data=data, retrain=retrain)

    if not any(map(due, models)):
        return
    with heavy_work("A model build", progress), _alone(progress):
        for left in engine.containers(_labels()):  # by a command that was killed
            left.remove()
        for model in models:
            if due(model):
                if model in store.imported():
                    raise UsageError(
                        f"The imported model {model} is not whole any more.",
                        remedy="Import it again: `lab models import`.",
                    )
                _build(model, engine=engine, progress=progress, data=data, retrain=retrain)


def trainer(models: Sequence[str]) -> Sequence[str]:
    """The image that building them will need, for who builds images anyway; none if none is."""
    return [ROLE] if any(map(stale, models)) else []


def stale(model: str, *, data: Path | None = None, retrain: bool = False) -> bool:
    """Whether a model is missing, incomplete or made from something else."""
    folder = store.folder(model)
    try:
        card = store.card(model)
        made_from = card.get("fingerprint", {})
        sizes: Mapping[str, int] = card["bytes"]
        whole = all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (UsageError, KeyError, OSError):
        return True
    if model in store.imported():
        return not whole
    return (
        not whole
        or made_from["sources"] != fingerprint.sources(model)
        or (data is not None and made_from["data"] != fingerprint.data(data))
        or (retrain and card["training"]["weights"] != "retrained")
    )


def _check_data(data: Path | None) -> None:
    if data is not None and not (data / "train.csv").is_file():
        raise UsageError(
            f"{data} holds no train.csv.",
            remedy="Give the folder with APTOS 2019's train.csv and its images.",
        )


def _build(
    model: str, *, engine: Engine, progress: Progress, data: Path | None, retrain: bool
) -> None:
    platform = engine.facts().platform
    ensure_images([ROLE], platform=platform, engine=engine, progress=progress)
    # As they are when it begins: who edits meanwhile gets a stale model, not a wrong one.
    made_from = {"sources": fingerprint.sources(model), "data": fingerprint.data(data)}
    with _unfinished(model) as folder:
        spec = _spec(
            model,
            engine=engine,
            image=image_ref(ROLE, platform),
            folder=folder,
            data=data,
            retrain=retrain,
        )
        with progress.step(f"Building the model {model}") as step:
            notes = _train(engine, spec, step)
            step.detail("packing")
            _finish(folder, made_from)
            _replace(folder, store.folder(model))
    for note in notes:
        progress.note(f"{model}: {note}")


def _spec(
    model: str, *, engine: Engine, image: str, folder: Path, data: Path | None, retrain: bool
) -> ContainerSpec:
    def command(out: str | Path, photographs: str | Path | None) -> Sequence[str]:
        training = ["--train", "all"] if retrain else []
        real = ["--data", str(photographs)] if photographs else []
        base, size = store.base(model)
        sized = ["--base", base, "--size", str(size)] if size is not None else []
        return ["-m", "models.build", model, "--out", str(out), *sized, *training, *real]

    if engine.kind is EngineKind.PROCESS:
        return ContainerSpec(
            image=image,
            command=command(folder, data and data.resolve()),
            env={"PYTHONPATH": f"{paths.ROOT}{os.pathsep}{_inference()}", **_ENV},
            labels=_labels(),
        )
    mounts = [
        Mount(source=str(paths.MODELS), target=_CODE),
        Mount(source=str(_inference() / "app"), target=_SERVICE),
        Mount(source=str(folder), target=_OUT, read_only=False),
    ]
    env = {"HOME": "/tmp", **_ENV}  # noqa: S108 - the container's own
    if data is not None:
        mounts.append(Mount(source=str(data.resolve()), target=_DATA))
        trusted = ca_bundle(os.environ, pip_settings())
        if trusted is not None:
            mounts.append(Mount(source=str(trusted.resolve()), target=_TRUSTED))
            env["SSL_CERT_FILE"] = _TRUSTED
    return ContainerSpec(
        image=image,
        command=command(_OUT, data and _DATA),
        env=env,
        labels=_labels(),
        mounts=mounts,
        # Only ImageNet's weights are ever fetched, and only for real photographs.
        network=None if data else "none",
        user=f"{os.getuid()}:{os.getgid()}",
    )


def _inference() -> Path:
    """The service's code: what it notes of an input is noted of the reference's with it."""
    return paths.SERVICES / "inference"


def _labels() -> Mapping[str, str]:
    return {LABEL_ROLE: ROLE, LABEL_OWNER: str(paths.artifacts())}


def _train(engine: Engine, spec: ContainerSpec, step: Step) -> Sequence[str]:
    """Run the trainer to its end; the lines that it wants to be kept."""
    with ExitStack() as stack:
        with uninterrupted():  # or a container could be made that nobody knows of
            container = engine.create(spec)
            stack.callback(_remove, container)
        container.start()
        _watch(container, step)
        said = container.logs(tail=400)
        state = container.state()
    if state.exit_code != 0:
        why = "ran out of memory" if state.oom_killed else f"ended with code {state.exit_code}"
        tail = "\n".join(said.strip().splitlines()[-12:])
        raise BuildError(f"The trainer {why}.\n{tail}")
    return [line.removeprefix("note: ") for line in said.splitlines() if line.startswith("note: ")]


def _remove(container: Container) -> None:
    with uninterrupted():
        container.remove()


def _watch(container: Container, step: Step) -> None:
    while container.state().running:
        line = container.logs(tail=1).strip()
        if not _NOISE.match(line):
            step.detail(line)
            counted = _COUNTED.search(line)
            if counted:
                step.advance(int(counted[1]), int(counted[2]))
        time.sleep(_POLL_S)


def _finish(folder: Path, made_from: Mapping[str, str | None]) -> None:
    """Pack the archives and complete the card with sums and sizes."""
    file = folder / store.CARD
    card: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    sums, sizes = dict(card["sha256"]), {}
    for runtime in Runtime:
        names = store.content(folder, runtime)
        if not names:
            continue
        name = store.archive_name(runtime)
        sums[name] = pack(folder, folder / name, names=names)
        sizes[name] = (folder / name).stat().st_size
    graph = folder / store.SERVED[Runtime.ONNX]
    if graph.is_file():
        sums[graph.name], sizes[graph.name] = sha256(graph), graph.stat().st_size
    card["sha256"], card["bytes"] = sums, sizes
    card["fingerprint"] = made_from
    file.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _replace(new: Path, place: Path) -> None:
    """Put the new folder in the old one's place; a reader sees either, or for an instant none."""
    old = new.with_name(f"{new.name}-old")
    with uninterrupted():
        if place.exists():
            place.rename(old)
        new.rename(place)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _unfinished(model: str) -> Iterator[Path]:
    """A folder beside the finished ones, gone at the end unless it was renamed."""
    folder = paths.artifacts() / f"{_UNFINISHED}{model}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _alone(progress: Progress) -> Iterator[None]:
    """One build at a time: a second waits, and then finds its work done."""
    paths.artifacts().mkdir(parents=True, exist_ok=True)
    with (paths.artifacts() / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.note("Another command builds models: waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
