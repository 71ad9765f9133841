"""Builds models inside the trainer image; nothing half-made is ever seen."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from lab.artifacts import datasets, fingerprint, store
from lab.artifacts import trainer as workshop
from lab.artifacts.trainer import ROLE
from lab.engine.api import ContainerSpec, Engine, Mount
from lab.errors import UsageError
from lab.images.build import ensure as ensure_images
from lab.images.hostfiles import ca_bundle, pip_settings
from lab.images.variants import image_ref
from lab.lock import heavy_work
from lab.progress import Progress

_DATA: Final = "/data"
_TRUSTED: Final = "/etc/ssl/certs/ca-certificates.crt"


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
    with a data set that they take. Without either, whatever a model was built from is kept.
    Raises ``BuildError`` with the trainer's last lines.
    """
    if data is not None:
        datasets.check(models, data)

    def due(model: str) -> bool:
        return force or stale(model, data=data, retrain=retrain)

    if not any(map(due, models)):
        return
    with heavy_work("A model build", progress), workshop.alone(progress):
        for left in engine.containers(workshop.labels()):  # by a command that was killed
            left.remove()
        for model in models:
            if due(model):
                _refuse_imported(model)
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


def _build(
    model: str, *, engine: Engine, progress: Progress, data: Path | None, retrain: bool
) -> None:
    platform = engine.facts().platform
    ensure_images([ROLE], platform=platform, engine=engine, progress=progress)
    # As they are when it begins: who edits meanwhile gets a stale model, not a wrong one.
    made_from = {"sources": fingerprint.sources(model), "data": fingerprint.data(data)}
    with workshop.unfinished(model) as folder:
        spec = _spec(
            model,
            engine=engine,
            image=image_ref(ROLE, platform),
            folder=folder,
            data=data,
            retrain=retrain,
        )
        with progress.step(f"Building the model {model}") as step:
            ended = workshop.run(engine, spec, step)
            ended.check()
            step.detail("packing")
            workshop.finish(folder, made_from)
            workshop.replace(folder, store.folder(model))
    for note in ended.lines("note"):
        progress.note(f"{model}: {note}")


def _refuse_imported(model: str) -> None:
    if model in store.imported():
        fault = "is not whole any more" if stale(model) else "is not the lab's to build"
        raise UsageError(
            f"The imported model {model} {fault}.",
            remedy="Import it again: `lab models import --force`.",
        )


def _spec(
    model: str, *, engine: Engine, image: str, folder: Path, data: Path | None, retrain: bool
) -> ContainerSpec:
    base, size = store.base(model)
    words = ["models.build", model, "--out", workshop.seen(engine, folder, workshop.OUT)]
    words += ["--base", base, "--size", str(size)] if size is not None else []
    words += ["--train", "all"] if retrain else []
    mounts: list[Mount] = []
    env = {}
    if data is not None:
        words += ["--data", workshop.seen(engine, data.resolve(), _DATA)]
        mounts.append(Mount(source=str(data.resolve()), target=_DATA))
        trusted = ca_bundle(os.environ, pip_settings())
        if trusted is not None:
            mounts.append(Mount(source=str(trusted.resolve()), target=_TRUSTED))
            env["SSL_CERT_FILE"] = _TRUSTED
    return workshop.spec(
        engine,
        words,
        image=image,
        folder=folder,
        mounts=mounts,
        env=env,
        # Only ImageNet's weights are ever fetched, and only for real photographs.
        network=None if data else "none",
    )
