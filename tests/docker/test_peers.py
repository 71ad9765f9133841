"""The servers of others that ``lab serve-bench --peers`` compares with: they serve the same."""

import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from lab.artifacts import archive, store
from lab.bench.peers import OWN, PEERS
from lab.engine.api import ContainerSpec
from lab.engine.docker.engine import DockerEngine
from lab.spec import LABEL_OWNER, Runtime
from lab.start.serving import serving


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_answers_a_picture_as_the_labs_own_server_does_and_stops_when_told(
    peer: str,
    engine: DockerEngine,
    built: Callable[[str], str],
    mobilenet: str,
    payload: Path,
) -> None:
    answers = []
    with archive.unpacked(store.find(mobilenet, Runtime.ONNX).path) as model:
        for image, command in ((built(OWN[1]), "serve"), (built("peers"), peer)):
            spec = ContainerSpec(
                image=image,
                command=(command,),
                model_dir=PurePosixPath(model),
                labels={LABEL_OWNER: f"test-peers-{command}"},
                publish=0,
            )
            with serving(engine, spec, within_s=120) as served:
                body = served.invoke(
                    payload.read_bytes(),
                    "image/jpeg",
                    accept="application/json",
                    name="the picture",
                    timeout_s=120,
                )
                answers.append(json.loads(body)["predictions"][0])
                served.container.stop()
                assert served.container.state().exit_code == 0
    own, other = answers
    assert other["grade"] == own["grade"]
    assert other["probabilities"] == pytest.approx(own["probabilities"], abs=1e-4)
