"""NISER's three forms, in the trainer image: as it is usually written, in TensorFlow, in ONNX."""

import json
import time

import pytest

from lab import paths
from lab.engine.api import ContainerSpec, Mount
from lab.engine.docker.engine import DockerEngine
from lab.images.build import ensure
from lab.images.variants import image_ref
from lab.progress import Progress
from lab.spec import LABEL_ROLE, Platform

pytestmark = [pytest.mark.docker, pytest.mark.long]


def test_they_agree_on_two_thousand_sessions_of_one_to_forty_clicks(
    engine: DockerEngine, progress: Progress, platform: Platform
) -> None:
    ensure(["trainer"], platform=platform, engine=engine, progress=progress)
    container = engine.create(
        ContainerSpec(
            image=image_ref("trainer", platform),
            command=["-m", "models.recommender_niser.parity"],
            env={"TF_CPP_MIN_LOG_LEVEL": "2", "HOME": "/tmp"},
            labels={LABEL_ROLE: "test-niser-forms"},
            mounts=[Mount(source=str(paths.MODELS), target="/lab/models")],
            network="none",
        )
    )
    try:
        container.start()
        while container.state().running:
            time.sleep(0.2)
        said = container.logs(tail=100)
        assert container.state().exit_code == 0, said
    finally:
        container.remove()
    apart = json.loads(said.strip().splitlines()[-1])
    assert 0 < apart["onnx"] < 1e-5
    assert 0 < apart["keras"] < 1e-5
    assert apart["empty"] < 1e-6  # a session of nothing: all items alike, and no NaN
