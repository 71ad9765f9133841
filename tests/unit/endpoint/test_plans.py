from pathlib import Path
from typing import Any

import pytest

from lab.endpoint.instances import GIB
from lab.endpoint.live import LaunchFailed, VariantPlan
from lab.endpoint.plans import kind_of, notes, plans_of, stored, variant_plans
from lab.endpoint.records import EndpointKind, EndpointRecord, Origin, Resource, Status
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.store import SqliteStore
from tests.fidelity import ABSENT, OURS, fidelity
from tests.unit.endpoint.controlled import MACHINE, instance, serverless

SETTINGS = EmulatorSettings(state=Path("/state"))
LEAST = "LEAST_OUTSTANDING_REQUESTS"
CONTAINER = {"Image": "image", "Mode": "SingleModel", "ModelDataUrl": "s3://b/model.tar.gz"}


def resource(name: str, body: dict[str, Any]) -> Resource:
    return Resource(name=name, arn=f"arn:{name}", created_at=0.0, body=body)


def plans(
    *variants: dict[str, Any],
    container: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    tags: dict[str, str] | None = None,
    **config: Any,
) -> list[VariantPlan]:
    of_model = resource("m", {"PrimaryContainer": container or CONTAINER, **(model or {})})
    return list(
        variant_plans(
            Origin(
                config=resource("c", {"ProductionVariants": list(variants), **config}),
                models={"m": of_model},
                tags=tags or {},
            ),
            endpoint="e",
            settings=SETTINGS,
            machine=MACHINE,
        )
    )


@pytest.mark.parametrize(
    ("asked", "routing"),
    [
        ({}, "RANDOM"),
        ({"RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}}, LEAST),
    ],
)
def test_requests_are_routed_at_random_unless_the_configuration_says_otherwise(
    asked: dict[str, Any], routing: str
) -> None:
    (plan,) = plans(instance(**asked))
    assert plan.routing == routing


def test_a_prefix_aware_variant_knows_what_decides() -> None:
    prefix = {"PrefixLength": 2048, "ConcurrencyThreshold": 3}
    (plan,) = plans(
        instance(
            RoutingConfig={"RoutingStrategy": "PREFIX_AWARE", "PrefixAwareRoutingConfig": prefix}
        )
    )
    assert (plan.prefix_bytes, plan.prefix_at_once) == (2048, 3)


@fidelity(
    "Routing",
    "KV_AWARE routes as LEAST_OUTSTANDING_REQUESTS does, as AWS does where no cache is known; "
    "DescribeEndpoint says so while the endpoint is created.",
    ABSENT,
    "botocore: ProductionVariantRoutingConfig.RoutingStrategy",
)
def test_what_the_lab_does_instead_of_kv_aware_routing_is_said() -> None:
    variant = instance(RoutingConfig={"RoutingStrategy": "KV_AWARE"})
    said = notes({"ProductionVariants": [variant]}, MACHINE)
    assert "least outstanding requests" in said[variant["VariantName"]]
    assert notes({"ProductionVariants": [instance()]}, MACHINE) == {}


def test_a_real_time_variant_gets_its_instance_and_its_time_outs() -> None:
    (plan,) = plans(
        instance(
            InitialInstanceCount=2,
            InitialVariantWeight=0.5,
            ContainerStartupHealthCheckTimeoutInSeconds=90,
            ModelDataDownloadTimeoutInSeconds=70,
            RoutingConfig={"RoutingStrategy": "RANDOM"},
        ),
        container={**CONTAINER, "Environment": {"A": "1"}, "ContainerHostname": "h"},
    )
    assert (plan.kind, plan.instance_type) == (EndpointKind.REAL_TIME, "ml.m5.large")
    assert (plan.initial_count, plan.weight, plan.max_concurrency) == (2, 0.5, None)
    assert (plan.startup_timeout_s, plan.download_timeout_s) == (90, 70)
    assert (plan.routing, plan.hostname, plan.env) == ("RANDOM", "h", {"A": "1"})
    assert (plan.compute.cpus, plan.compute.memory_bytes) == (2.0, 8 * GIB)
    assert (plan.model_data, plan.compressed) == ("s3://b/model.tar.gz", True)
    assert not plan.shadow
    assert not plan.isolated
    assert not plan.pull_cold


def test_a_serverless_variant_gets_its_tier_and_three_minutes() -> None:
    (plan,) = plans(serverless(ProvisionedConcurrency=2), tags={"inference-lab:pull": "cold"})
    assert (plan.kind, plan.max_concurrency, plan.initial_count) == (EndpointKind.SERVERLESS, 5, 2)
    assert plan.compute.memory_bytes == 2 * GIB
    assert plan.startup_timeout_s == 180
    assert plan.pull_cold


def test_shadows_come_after_the_production_variants() -> None:
    found = plans(instance("v"), ShadowProductionVariants=[instance("s")])
    assert [(plan.name, plan.shadow) for plan in found] == [("v", False), ("s", True)]


def test_the_kind_is_asynchronous_when_it_is_configured_to_be() -> None:
    assert kind_of({"ProductionVariants": [instance()], "AsyncInferenceConfig": {"x": 1}}) is (
        EndpointKind.ASYNC
    )


def test_isolation_comes_from_the_model_or_the_configuration() -> None:
    assert plans(instance(), model={"EnableNetworkIsolation": True})[0].isolated
    assert plans(instance(), EnableNetworkIsolation=True)[0].isolated


@pytest.mark.parametrize(
    ("container", "data", "compressed"),
    [
        ({}, None, True),
        (
            {"ModelDataUrl": "https://s3-data.s3.amazonaws.com/k/m.tar.gz"},
            "https://s3-data.s3.amazonaws.com/k/m.tar.gz",
            True,
        ),
        (
            {
                "ModelDataSource": {
                    "S3DataSource": {
                        "S3Uri": "s3://b/k",
                        "S3DataType": "S3Object",
                        "CompressionType": "Gzip",
                    }
                }
            },
            "s3://b/k",
            True,
        ),
        (
            {
                "ModelDataSource": {
                    "S3DataSource": {
                        "S3Uri": "s3://b/k/",
                        "S3DataType": "S3Prefix",
                        "CompressionType": "None",
                    }
                }
            },
            "s3://b/k/",
            False,
        ),
        (
            {
                "ModelDataSource": {
                    "S3DataSource": {
                        "S3Uri": "s3://b/deep/model.onnx",
                        "S3DataType": "S3Object",
                        "CompressionType": "None",
                    }
                }
            },
            "s3://b/deep/model.onnx",
            False,
        ),
    ],
)
def test_model_data_is_found_where_it_lies(
    container: dict[str, Any],
    data: str | None,
    compressed: bool,  # noqa: FBT001
) -> None:
    (plan,) = plans(instance(), container={"Image": "i", **container})
    assert (plan.model_data, plan.compressed) == (data, compressed)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"model": {"Containers": [CONTAINER, CONTAINER]}}, "2 containers"),
        ({"container": {**CONTAINER, "Mode": "MultiModel"}}, "multi-model"),
        ({"container": {"ModelPackageName": "p"}}, "model package"),
        ({"container": {**CONTAINER, "AdditionalModelDataSources": [1]}}, "AdditionalModelData"),
        ({"variant": instance(InstanceType="ml.g5.xlarge")}, "accelerator (gpu)"),
        ({"variant": instance(ModelName="gone")}, "which is gone"),
        ({"variant": {"VariantName": "v", "InstanceType": "ml.m5.large"}}, "inference components"),
        (
            {
                "container": {
                    "Image": "i",
                    "ModelDataSource": {
                        "S3DataSource": {
                            "S3Uri": "s3://b/k",
                            "S3DataType": "S3Prefix",
                            "CompressionType": "Gzip",
                        }
                    },
                }
            },
            "The lab refuses S3DataType S3Prefix with CompressionType Gzip, as SageMaker does",
        ),
    ],
)
def test_what_is_not_emulated_is_said_plainly(asked: dict[str, Any], said: str) -> None:
    variant = asked.pop("variant", instance())
    with pytest.raises(LaunchFailed) as caught:
        plans(variant, **asked)
    assert said in caught.value.reason


@fidelity(
    "Versions",
    "An endpoint keeps the configuration, the models and the tags that it was made from, whatever "
    "is deleted or changed later.",
    OURS,
    "AWS says only that a configuration in use must not be deleted, and that one may lose sight of "
    "the instance type.",
)
def test_an_endpoint_keeps_what_it_was_made_from(store: SqliteStore) -> None:
    config = resource("c", {"ProductionVariants": [instance()]})
    store.put("model", resource("m", {"PrimaryContainer": CONTAINER}))
    store.put("config", config)
    store.set_tags(config.arn, {"inference-lab:pull": "cold"})
    row = EndpointRecord(
        name="e",
        arn="arn:e",
        created_at=0.0,
        modified_at=0.0,
        status=Status.IN_SERVICE,
        config_name="c",
        origins={"c": stored(config, store)},
    )
    store.add_endpoint(row)
    store.delete("config", "c")
    store.delete("model", "m")
    kept = store.endpoint("e")
    assert kept is not None
    _, (plan,) = plans_of(kept, "c", store=store, settings=SETTINGS, machine=MACHINE)
    assert (plan.image, plan.pull_cold) == ("image", True)
    with pytest.raises(LaunchFailed, match="was deleted"):
        plans_of(kept, "other", store=store, settings=SETTINGS, machine=MACHINE)
