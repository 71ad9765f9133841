"""A container of one image that answers, and its answers to all pictures."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

import httpx

from lab.engine.api import Container, ContainerSpec, Engine
from lab.engine.interrupt import uninterrupted
from lab.errors import ContainerFailedError, EngineError
from lab.parity.compare import Answer, parse
from lab.parity.pictures import Picture
from lab.progress import Step
from lab.spec import LABEL_OWNER, LABEL_ROLE, Platform
from lab.start.cause import Cause, death, not_ready, not_started
from lab.start.probe import probe
from lab.start.watch import Watch

ROLE: Final = "parity"
READY_S: Final = 300.0
"""How long a native container may take to be ready. Emulated ones have longer."""
REQUEST_S: Final = 120.0
"""How long it may take to answer."""

_POLL_S: Final = 0.1
_CONNECT_S: Final = 10.0
_OK: Final = 200
_ENV: Final = {
    # Gunicorn and NGINX give up on a worker after 60 s: emulated TensorFlow takes longer to load.
    "SAGEMAKER_MODEL_SERVER_TIMEOUT": "3600",
}


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What is started. ``patience`` is what limits of time are multiplied by."""

    image: str
    platform: Platform
    model_dir: Path
    owner: str
    patience: float = 1.0
    env: Mapping[str, str] = field(default_factory=dict)


def ask(
    serving: Serving,
    pictures: Sequence[Picture],
    engine: Engine,
    step: Step,
    *,
    so_far: Callable[[Sequence[Answer]], str] = lambda _: "",
) -> Sequence[Answer]:
    """Start a container, send it every picture, and remove it whatever happens.

    ``so_far`` makes words of the answers that have come, for whoever waits for the others. Raises
    ``ContainerFailedError`` with the container's last log lines.
    """
    with _container(serving, engine) as container:
        address = _ready(container, serving, step)
        limit = httpx.Timeout(REQUEST_S * serving.patience, connect=_CONNECT_S)
        url = f"http://{address[0]}:{address[1]}"
        answers: list[Answer] = []
        with httpx.Client(base_url=url, timeout=limit, trust_env=False) as http:
            for picture in pictures:
                step.detail(f"{len(answers)} of {len(pictures)} pictures{so_far(answers)}")
                answers.append(_answer(http, picture, container, serving))
                step.advance(len(answers), len(pictures))
    return answers


@contextmanager
def _container(serving: Serving, engine: Engine) -> Iterator[Container]:
    labels = {LABEL_ROLE: ROLE, LABEL_OWNER: serving.owner}
    spec = ContainerSpec(
        image=serving.image,
        platform=serving.platform,
        model_dir=PurePosixPath(serving.model_dir),
        env={**_ENV, **serving.env},
        labels=labels,
        publish=0,
    )
    try:
        yield engine.create(spec)
    finally:
        # By its labels: Ctrl-C may have come before the container was known here.
        with uninterrupted():
            for container in engine.containers(labels):
                container.remove()


def _ready(container: Container, serving: Serving, step: Step) -> tuple[str, int]:
    """Where it answers, once ``/ping`` has said 200."""
    limit_s = READY_S * serving.patience
    try:
        container.start()
    except EngineError as error:
        raise _failed(serving, not_started(container, error)) from error
    begun = time.monotonic()
    with Watch(container) as watch:

        def gone() -> bool:
            step.detail(f"starting for {time.monotonic() - begun:.0f} s")
            return watch.gone()

        try:
            address = container.address()
        except EngineError as error:
            raise _failed(serving, not_started(container, error)) from error
        seen = probe(address, interval_s=_POLL_S, give_up_at=begun + limit_s, gone=gone)
    if seen.ready_ns is None:
        raise _failed(serving, not_ready(container, seen, limit_s))
    return address


def _answer(http: httpx.Client, picture: Picture, container: Container, serving: Serving) -> Answer:
    try:
        answer = http.post(
            "/invocations",
            content=picture.body,
            headers={
                "Content-Type": picture.content_type,
                "Accept": "application/json",
                # A connection that waits for its next use may be closed by the other side.
                "Connection": "close",
            },
        )
    except httpx.HTTPError as error:
        cause = death(container, f"at {picture.name}")
        if cause is not None:
            raise _failed(serving, cause) from error
        raise ContainerFailedError(
            f"{serving.image} did not answer to {picture.name}: {error}.\n{container.logs(tail=20)}"
        ) from error
    if answer.status_code != _OK:
        raise ContainerFailedError(
            f"{serving.image} answered {answer.status_code} to {picture.name}: {answer.text[:200]}"
        )
    return parse(answer.content, of=f"{picture.name} by {serving.image}")


def _failed(serving: Serving, cause: Cause) -> ContainerFailedError:
    what = f"{serving.image}: {cause.message}\n{cause.log_tail}".rstrip()
    return ContainerFailedError(
        what, remedy=f"Try its start: `lab contract check {serving.image} --only serve`."
    )
