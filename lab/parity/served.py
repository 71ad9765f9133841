"""A container of one image that answers, and its answers to all inputs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

import httpx

from lab import tls
from lab.artifacts.store import Tolerance
from lab.engine.api import Container, ContainerSpec, Engine
from lab.errors import ContainerFailedError
from lab.parity.compare import ModelAnswer, parse
from lab.parity.inputs import ParityInput
from lab.progress import Step
from lab.spec import LABEL_OWNER, LABEL_ROLE, Platform
from lab.start.cause import death
from lab.start.serving import failed
from lab.start.serving import serving as started

ROLE: Final = "parity"
READY_S: Final = 300.0
"""How long a native container may take to be ready. Emulated ones have longer."""
REQUEST_S: Final = 120.0
"""How long it may take to answer."""

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
    tolerance: Tolerance
    patience: float = 1.0
    env: Mapping[str, str] = field(default_factory=dict)


def ask(
    serving: Serving,
    inputs: Sequence[ParityInput],
    engine: Engine,
    step: Step,
    *,
    so_far: Callable[[Sequence[ModelAnswer]], str] = lambda _: "",
) -> Sequence[ModelAnswer]:
    """Start a container, send it every input, and remove it whatever happens.

    ``so_far`` makes words of the answers that have come, for whoever waits for the others. Raises
    ``ContainerFailedError`` with the container's last log lines.
    """
    with started(
        engine,
        _spec(serving),
        within_s=READY_S * serving.patience,
        waiting=lambda seconds: step.detail(f"starting for {seconds:.0f} s"),
    ) as served:
        limit = httpx.Timeout(REQUEST_S * serving.patience, connect=_CONNECT_S)
        url = f"http://{served.address[0]}:{served.address[1]}"
        answers: list[ModelAnswer] = []
        with httpx.Client(
            base_url=url, timeout=limit, verify=tls.context(), trust_env=False
        ) as http:
            for one in inputs:
                step.detail(f"{len(answers)} of {len(inputs)} inputs{so_far(answers)}")
                answers.append(_answer(http, one, served.container, serving))
                step.advance(len(answers), len(inputs))
    return answers


def _spec(serving: Serving) -> ContainerSpec:
    return ContainerSpec(
        image=serving.image,
        platform=serving.platform,
        model_dir=PurePosixPath(serving.model_dir),
        env={**_ENV, **serving.env},
        labels={LABEL_ROLE: ROLE, LABEL_OWNER: serving.owner},
        publish=0,
    )


def _answer(
    http: httpx.Client, one: ParityInput, container: Container, serving: Serving
) -> ModelAnswer:
    try:
        answer = http.post(
            "/invocations",
            content=one.body,
            headers={
                "Content-Type": one.content_type,
                "Accept": "application/json",
                # A connection that waits for its next use may be closed by the other side.
                "Connection": "close",
            },
        )
    except httpx.HTTPError as error:
        cause = death(container, f"at {one.name}")
        if cause is not None:
            raise failed(serving.image, cause) from error
        raise ContainerFailedError(
            f"{serving.image} did not answer to {one.name}: {error}.\n{container.logs(tail=20)}"
        ) from error
    if answer.status_code != _OK:
        raise ContainerFailedError(
            f"{serving.image} answered {answer.status_code} to {one.name}: {answer.text[:200]}"
        )
    return parse(answer.content, serving.tolerance, of=f"{one.name} by {serving.image}")
