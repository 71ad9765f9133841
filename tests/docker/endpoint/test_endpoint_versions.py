"""What is fixed when: tags that are built anew, archives that are overwritten, S3 that is gone."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from lab.artifacts.archive import pack
from lab.engine.docker.engine import DockerEngine
from lab.engine.docker.held import HELD
from tests.docker.endpoint.conftest import Build, let_go
from tests.docker.endpoint.site import (
    ACCOUNT,
    BUCKET,
    REGION,
    Beside,
    Emulator,
    Site,
    answered,
    realtime,
    serverless,
)
from tests.fidelity import DOCUMENTED, OURS, SEEN, fidelity
from tests.timing import wait_until


def versions(site: Site, name: str, calls: int = 20) -> set[str]:
    return {answered(site.invoke(name))["env"]["VERSION"] for _ in range(calls)}


def until_instances(site: Site, engine: DockerEngine, name: str, count: int) -> None:
    def there() -> bool:
        (variant,) = site.describe(name)["ProductionVariants"]
        running = [one for one in Beside(engine, name).containers() if one.state().running]
        return bool(variant["CurrentInstanceCount"] == len(running) == count)

    wait_until(there, otherwise=lambda: site.describe(name))


def kill_one(site: Site, engine: DockerEngine, name: str, count: int) -> None:
    victim = Beside(engine, name).containers()[0]
    victim.kill()
    wait_until(lambda: victim.id not in {one.id for one in Beside(engine, name).containers()})
    until_instances(site, engine, name, count)


def image_of(engine: DockerEngine, ref: str) -> str:
    return engine.image(ref).image_id


def logged(site: Site, name: str) -> list[str]:
    url = f"{site.emulator.url}/_lab/endpoints/{name}/logs"
    lines = httpx.get(url, params={"lines": 1000}, timeout=30).text.splitlines()
    return [line for line in lines if "[platform]" in line]


def changes(site: Site) -> Mapping[str, list[str]]:
    found: Mapping[str, list[str]] = httpx.get(
        f"{site.emulator.url}/_lab/changes", timeout=30
    ).json()
    return found


def archive(site: Site, folder: Path, key: str, content: str) -> str:
    """A model archive in S3 whose only file is named as its content is."""
    shutil.rmtree(folder / "in", ignore_errors=True)
    (folder / "in").mkdir()
    (folder / "in" / content).write_text(content)
    pack(folder / "in", folder / "out.tar.gz")
    site.s3.put_object(Bucket=BUCKET, Key=key, Body=(folder / "out.tar.gz").read_bytes())
    return f"s3://{BUCKET}/{key}"


def models(site: Site, name: str, calls: int = 10) -> set[str]:
    return {"".join(answered(site.invoke(name))["model"]) for _ in range(calls)}


@fidelity(
    "Versions",
    "A tag that is pushed or built again behind a running endpoint changes nothing: replacements, "
    "scale-out and a restart serve the image that was deployed, until the endpoint is updated.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeployedImage.html",
)
def test_a_tag_that_is_built_anew_changes_no_running_endpoint(
    site: Site, engine: DockerEngine, build: Build
) -> None:
    image = build(1)
    first = image_of(engine, image)
    name = site.endpoint(site.config(realtime(site.model(image), count=2)))
    build(2)
    second = image_of(engine, image)
    assert second != first
    kill_one(site, engine, name, 2)
    assert versions(site, name) == {"1"}
    site.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name,
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 3}],
    )
    site.wait(name)
    until_instances(site, engine, name, 3)
    assert versions(site, name) == {"1"}

    site.emulator.kill()
    Beside(engine, name).containers()[0].kill()
    site.emulator.start()
    until_instances(site, engine, name, 3)
    assert versions(site, name) == {"1"}

    seen = site.describe(name)
    (deployed,) = seen["ProductionVariants"][0]["DeployedImages"]
    assert deployed["SpecifiedImage"] == image
    assert deployed["ResolvedImage"] == f"{image.removesuffix(':latest')}@{first}"
    assert seen["CreationTime"] < deployed["ResolutionTime"] < seen["LastModifiedTime"]
    (said,) = changes(site)[name]
    assert f"{image} is another image by now ({second})" in said
    assert changes(site)[name] == [said]
    assert [line for line in logged(site, name) if first in line] != []

    site.sagemaker.update_endpoint(
        EndpointName=name,
        EndpointConfigName=site.config(realtime(site.model(image))),
    )
    site.wait(name)
    assert versions(site, name) == {"2"}
    assert name not in changes(site)
    (deployed,) = site.describe(name)["ProductionVariants"][0]["DeployedImages"]
    assert deployed["ResolvedImage"].endswith(f"@{second}")
    site.delete(name)


@fidelity(
    "Versions",
    "The image of a living endpoint stays on the engine though its tag is removed and no container "
    "of it is left: the lab holds it by a name of its own until it is deployed no more.",
    OURS,
    "AWS keeps what it deployed; an engine on this machine would forget it.",
)
def test_a_cold_start_is_of_the_image_that_was_deployed_though_its_tag_is_gone(
    site: Site, engine: DockerEngine, build: Build
) -> None:
    image = build(1)
    first = image_of(engine, image)
    name = site.endpoint(site.config(serverless(site.model(image))))
    assert versions(site, name, 1) == {"1"}
    build(2)
    httpx.post(f"{site.emulator.url}/_lab/endpoints/{name}/scale-to-zero", timeout=60)
    wait_until(lambda: not Beside(engine, name).containers())
    engine.client.remove_image(image)
    assert versions(site, name, 1) == {"1"}
    build(3)
    site.delete(name)
    held = engine.client.images(name=HELD)
    assert first not in {one["Id"] for one in held}


@fidelity(
    "Versions",
    "A model's object is fixed at deployment: an archive that is overwritten, or an S3 that has "
    "lost it, changes no running endpoint, and its log says so.",
    OURS,
    "AWS: 'unpredictable results' "
    "(https://docs.aws.amazon.com/sagemaker/latest/dg/how-it-works-hosting.html).",
)
def test_an_archive_that_is_overwritten_changes_no_running_endpoint(
    site: Site, engine: DockerEngine, tmp_path: Path
) -> None:
    data = archive(site, tmp_path, "over/model.tar.gz", "first")
    name = site.endpoint(site.config(realtime(site.model(data=data), count=2)))
    archive(site, tmp_path, "over/model.tar.gz", "second")
    kill_one(site, engine, name, 2)
    assert models(site, name) == {"first"}
    (said,) = changes(site)[name]
    assert f"{data} was overwritten" in said
    assert [line for line in logged(site, name) if said in line] != []
    assert [line for line in logged(site, name) if "the lab's copy" in line] != []

    site.s3.delete_object(Bucket=BUCKET, Key="over/model.tar.gz")
    kill_one(site, engine, name, 2)
    assert models(site, name) == {"first"}

    archive(site, tmp_path, "over/model.tar.gz", "third")
    site.sagemaker.update_endpoint(
        EndpointName=name, EndpointConfigName=site.config(realtime(site.model(data=data)))
    )
    site.wait(name)
    assert models(site, name) == {"third"}
    site.delete(name)
    assert list((site.emulator.state / "archives").iterdir()) == []


@pytest.fixture
def alone(
    engine: DockerEngine, network: str, obedient: str, tmp_path: Path
) -> Iterator[tuple[Site, ThreadedMotoServer]]:
    """A site with an S3 of its own, which may end."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    emulator = Emulator(
        state=tmp_path / "state", engine=engine.address, s3=f"http://{host}:{port}", network=network
    )
    emulator.client("s3").create_bucket(Bucket=BUCKET)
    emulator.start()
    yield Site(emulator, obedient), server
    emulator.stop()
    let_go(engine, emulator)


@fidelity(
    "Versions",
    "Endpoints that live go on over a restart without S3: real-time and serverless containers that "
    "come later get the model data that was deployed.",
    OURS,
    "S3 is always there on AWS; here it may forget, or be down.",
)
def test_a_restart_needs_no_s3(
    alone: tuple[Site, ThreadedMotoServer], engine: DockerEngine, tmp_path: Path
) -> None:
    site, s3 = alone
    data = archive(site, tmp_path, "model.tar.gz", "first")
    model = site.model(data=data)
    names = [site.endpoint(site.config(one)) for one in (realtime(model), serverless(model))]
    assert [models(site, name, 1) for name in names] == [{"first"}, {"first"}]
    assert site.emulator.stop() == 0
    s3.stop()
    site.emulator.start()
    until_instances(site, engine, names[0], 1)
    assert [models(site, name, 1) for name in names] == [{"first"}, {"first"}]
    for name in names:
        assert [line for line in logged(site, name) if "the lab's copy" in line] != []
        site.delete(name)


@fidelity(
    "Versions",
    "When the model data of an endpoint are nowhere any more, a call is answered at once with that "
    "reason, and the endpoint's log says it.",
    OURS,
    "SageMaker says that it could not get a response; here the reason is known.",
)
def test_what_is_nowhere_any_more_is_said_to_the_caller_at_once(
    alone: tuple[Site, ThreadedMotoServer], tmp_path: Path
) -> None:
    site, s3 = alone
    data = archive(site, tmp_path, "model.tar.gz", "first")
    name = site.endpoint(site.config(realtime(site.model(data=data))))
    assert site.emulator.stop() == 0
    shutil.rmtree(site.emulator.state / "archives")
    s3.stop()
    site.emulator.start()
    with pytest.raises(ClientError) as caught:
        site.invoke(name)
    answer: Any = caught.value.response
    assert answer["Error"]["Code"] == "ModelError"
    assert "update the endpoint" in answer["Error"]["Message"]
    assert data in answer["Error"]["Message"]
    assert [line for line in logged(site, name) if "No container was started" in line] != []
    site.delete(name)


@fidelity(
    "UpdateEndpoint",
    "An update is refused once the endpoint's own configuration was deleted, in the words that "
    "name the old one.",
    SEEN,
    "https://github.com/hashicorp/terraform-provider-aws/issues/48997",
)
def test_an_endpoint_whose_configuration_was_deleted_is_not_updated(site: Site) -> None:
    model = site.model()
    one, two = site.config(realtime(model)), site.config(realtime(model))
    name = site.endpoint(one)
    site.sagemaker.delete_endpoint_config(EndpointConfigName=one)
    with pytest.raises(ClientError) as caught:
        site.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=two)
    error: Any = caught.value.response["Error"]
    assert error["Code"] == "ValidationException"
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint-config/{one}"
    assert error["Message"].startswith(f'Could not find endpoint configuration "{arn}".')
    assert answered(site.invoke(name))["count"] >= 1
    site.delete(name)
