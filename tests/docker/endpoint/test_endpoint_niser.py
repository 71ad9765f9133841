"""The recommender on an endpoint: sessions as JSON, and as the CSV of a batch."""

import json
from collections.abc import Callable

import pytest

from lab.artifacts import build, store
from lab.engine.docker.engine import DockerEngine
from lab.progress import Progress
from lab.spec import Runtime
from tests.docker.conftest import alone
from tests.docker.endpoint.site import BUCKET, Site, answered, realtime, serverless

pytestmark = [pytest.mark.docker, pytest.mark.long]

NISER = "recommender-niser"


@pytest.fixture(scope="module")
def model(site: Site, built: Callable[[str], str], engine: DockerEngine, progress: Progress) -> str:
    with alone("models"):
        build.ensure([NISER], engine=engine, progress=progress)
    archive = store.find(NISER, Runtime.ONNX).path
    site.s3.upload_file(str(archive), BUCKET, "niser/model.tar.gz")
    return site.model(built("onnx-slim"), data=f"s3://{BUCKET}/niser/model.tar.gz")


@pytest.mark.parametrize("kind", ["real time", "serverless"])
def test_an_endpoint_recommends_for_json_and_for_csv(site: Site, model: str, kind: str) -> None:
    variant = realtime(model) if kind == "real time" else serverless(model, memory=1024)
    name = site.endpoint(site.config(variant))
    payload = store.payload(NISER)
    said = answered(site.invoke(name, payload.path.read_bytes(), ContentType=payload.content_type))
    session = json.loads(payload.path.read_bytes())["session"]
    line = ",".join(map(str, session)).encode()
    batch = site.invoke(name, line + b"\n\n", ContentType="text/csv", Accept="text/csv")
    first, second = batch["Body"].read().decode().splitlines()
    assert first.split(",")[:20] == [str(one) for one in said["predictions"][0]["items"]][:20]
    assert second.split(",") == [str(one) for one in store.card(NISER)["popular"]["items"][:20]]
    with pytest.raises(site.runtime.exceptions.ModelError, match="Line 1, column 2"):
        site.invoke(name, b"1,item\n", ContentType="text/csv")
    site.delete(name)
