"""The demo's sessions: which endpoints they get, and that shifted ones can be seen to drift."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from app import card
from app.reference import read
from app.settings import Settings
from lab.endpoint.addresses import Addresses
from lab.endpoint.client import EmulatorClient
from lab.errors import BuildError
from lab.images.variants import DEFAULT
from lab.progress import Silent
from lab.stack import demo, demo_sessions, session
from lab.stack.seed import SeededEndpoint
from lab.stack.settings import StackSettings
from models.common.reference import reference
from models.recommender_niser.sessions import ITEMS, MOST, examples, generate, split
from models.recommender_niser.task import Task
from tests import drift

ADDRESSES = Addresses(
    sagemaker="http://127.0.0.1:1", s3="http://127.0.0.1:2", region="eu-west-1", account="1" * 12
)


class Emulator(EmulatorClient):
    """Knows endpoints, each with the name of the model that it serves."""

    def __init__(self, **models: str) -> None:
        self.addresses = ADDRESSES
        self.models = {name.replace("_", "-"): model for name, model in models.items()}

    def endpoints(self) -> Sequence[Mapping[str, Any]]:
        return [{"EndpointName": name} for name in self.models]

    def find(self, operation: str, **parameters: Any) -> Mapping[str, Any] | None:
        if operation == "describe_endpoint":
            name = parameters["EndpointName"]
            return {"EndpointConfigName": name} if name in self.models else None
        return {
            "ProductionVariants": [{"ModelName": self.models[parameters["EndpointConfigName"]]}]
        }


def test_the_variant_is_the_one_that_is_up() -> None:
    served_by = demo_sessions.served_by
    emulator = Emulator(
        a="retinopathy-mobilenet-onnx-slim-0123abcd",
        b="retinopathy-vgg19-onnx-0123abcd",
        c="my-import-onnx-00000000",
        d="of-somebody-s-own",
    )
    assert served_by(emulator) == "onnx"
    assert served_by(Emulator(a="of-somebody-s-own")) == DEFAULT


def test_endpoints_that_are_there_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "beside", lambda *_: pytest.fail("made anew"))
    there = Emulator(recommender_niser_serverless="recommender-niser-onnx-0123abcd")
    assert "that there are" in demo_sessions.provide(there, Silent())


def test_endpoints_are_made_by_the_variant_and_for_the_account_of_the_emulator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[StackSettings] = []

    def beside(settings: StackSettings, *_: object) -> Sequence[SeededEndpoint]:
        asked.append(settings)
        return [
            SeededEndpoint(name=f"x-{kind}", kind=kind, model="x", status="InService")
            for kind in ("realtime", "serverless")
        ]

    monkeypatch.setattr(session, "beside", beside)
    monkeypatch.setattr(demo_sessions, "open_engine", lambda _: os.scandir("."))
    said = demo_sessions.provide(Emulator(a="eye-onnx-0123abcd"), Silent())
    assert "recommender-niser-realtime and recommender-niser-serverless serve sessions" in said
    (settings,) = asked
    assert (settings.variant, settings.models) == ("onnx", ("recommender-niser",))
    assert settings.bucket == f"sagemaker-{ADDRESSES.region}-{ADDRESSES.account}"


def test_what_keeps_them_from_being_made_is_told_and_the_demo_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def beside(*_: object) -> None:
        raise BuildError("The trainer died.", remedy="See its log.")

    monkeypatch.setattr(session, "beside", beside)
    monkeypatch.setattr(demo_sessions, "open_engine", lambda _: os.scandir("."))
    said = demo_sessions.provide(Emulator(), Silent())
    assert said == "No sessions are sent: The trainer died. See its log."


def sessions(held_out: int) -> tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]]:
    """Prefixes that the model was not trained on; and long ones, half of unknown items."""
    random = np.random.default_rng(1)
    prefixes, _, _ = examples(split(generate(5), 1)[1])
    some = prefixes[random.choice(len(prefixes), held_out)]
    shifted = random.integers(1, 2 * ITEMS, (12, MOST))
    return [one[one > 0].tolist() for one in some], shifted.tolist()


@pytest.mark.parametrize("script", [demo.SHORT, demo.FULL])
def test_shifted_sessions_drift_by_the_rule_of_the_alert(script: demo.Script) -> None:
    task = Task(
        card.card(
            {
                "schema": 2,
                "name": "recommender-niser",
                "task": "session-recommendation",
                "inputs": [{"name": "s", "dtype": "int64", "shape": [None, None], "first": [1, 1]}],
                "outputs": [
                    {"name": "items", "dtype": "int64", "shape": [None, 1]},
                    {"name": "scores", "dtype": "float32", "shape": [None, 1]},
                ],
                "catalogue": {"items": ITEMS, "ids": None, "most": MOST},
                "popular": {"items": [1], "shares": [0.1]},
            }
        ),
        Settings({}),
    )
    of_inputs = [one for one in task.features if one.name in {"length", "unknown"}]
    known, strange = (
        [task.decode("text/csv", ",".join(map(str, one)).encode()).noted[0] for one in some]
        for some in sessions(200)
    )
    bins = read(reference(of_inputs, known, labels=0), ["length", "unknown"])
    # To the real-time endpoint: all of the steady chapter are in the same five minutes.
    steady = int(script.steady_s * script.per_s)
    shifted = int(script.shifted_s * 2 * script.per_s)
    usual = [known[at % len(known)] for at in range(steady)]
    then = [*usual, *(strange[at % len(strange)] for at in range(shifted))]
    for name, cut in bins.items():

        def counts(noted: Sequence[Mapping[str, float]], cut: Any = cut, name: str = name) -> Any:
            places = [cut.place(one[name]) for one in noted]
            return [places.count(place) for place in range(len(cut.share))]

        assert drift.psi(counts(usual), cut.share) < drift.SMALL, name
        assert drift.psi(counts(then), cut.share) > drift.LARGE, name
