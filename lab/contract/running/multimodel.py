"""The multi-model API as SageMaker calls it: load, list, invoke, unload."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.contract.running.calls import HttpCall
from lab.contract.running.container import CheckPayload, Running
from lab.wire import request

NAME: Final = "lab-contract-model"
"""Opaque to the container, as SageMaker's own names are."""

PLACE: Final = f"/opt/ml/models/{NAME}/model"

_HOST: Final = "model.aws.local"
_LOAD_S: Final = 360.0
_OK, _NOT_FOUND, _CONFLICT = 200, 404, 409


@dataclass(frozen=True, kw_only=True)
class ModelStep:
    """One call, and what it must be answered with."""

    what: str
    wanted: int
    answer: HttpCall
    why: str = ""
    """What is wrong with the body, if something is."""

    @property
    def good(self) -> bool:
        """Whether the answer is what SageMaker expects."""
        return self.answer.status == self.wanted and not self.why

    @property
    def words(self) -> str:
        """``POST /models: 200`` or ``GET /models: 404 in 2 ms instead of 200``."""
        if self.good:
            return f"{self.what}: {self.wanted}"
        if self.answer.status == self.wanted:
            return f"{self.what}: {self.why}"
        return f"{self.what}: {self.answer.words} instead of {self.wanted}"


def converse(running: Running, sample: CheckPayload | None) -> Sequence[ModelStep]:
    """Load the model, use it and let it go; ends at the first step that makes the rest pointless.

    ``sample`` None leaves the invocation out.
    """
    load = json.dumps({"model_name": NAME, "url": PLACE}).encode()
    steps: list[ModelStep] = []

    def ask(
        method: str,
        path: str,
        wanted: int,
        *,
        body: bytes = b"",
        content_type: str = "application/json",
        look: Callable[[Any], str] | None = None,
    ) -> bool:
        headers = {"Connection": "close"} | ({"Content-Type": content_type} if body else {})
        prepared = request(method, path, host=_HOST, body=body, headers=headers)
        answer = running.call(prepared, timeout_s=_LOAD_S)
        why = look(_parsed(answer)) if look is not None and answer.status == wanted else ""
        steps.append(ModelStep(what=f"{method} {path}", wanted=wanted, answer=answer, why=why))
        return steps[-1].good

    one = f"/models/{NAME}"
    if not ask("GET", "/models", _OK, look=lambda said: _listed(said, loaded=False)):
        return steps
    if not ask("POST", "/models", _OK, body=load):
        return steps
    ask("POST", "/models", _CONFLICT, body=load)
    ask("GET", "/models", _OK, look=lambda said: _listed(said, loaded=True))
    ask("GET", one, _OK, look=_described)
    if sample is not None:
        ask("POST", f"{one}/invoke", _OK, body=sample.body, content_type=sample.content_type)
    if ask("DELETE", one, _OK):
        ask("GET", one, _NOT_FOUND)
        ask("POST", f"{one}/invoke", _NOT_FOUND, body=b"{}")
    return steps


def _parsed(answer: HttpCall) -> Any:
    try:
        return json.loads(answer.body)
    except ValueError:
        return None


def _listed(said: Any, *, loaded: bool) -> str:
    models = said.get("models") if isinstance(said, dict) else None
    if not isinstance(models, list) or not all(isinstance(one, dict) for one in models):
        return 'the answer is not {"models": [...]}'
    here = [one for one in models if one.get("modelName") == NAME]
    if loaded and not here:
        return "the model that was loaded is not in it (modelName)"
    return _described(here[0]) if loaded else ""


def _described(said: Any) -> str:
    if not isinstance(said, dict) or said.get("modelName") != NAME or "modelUrl" not in said:
        return 'the answer is not {"modelName": ..., "modelUrl": ...}'
    return ""
