"""What an endpoint configuration or a deployment may not be, beyond its shapes.

Sentences seen on AWS are used as they are there; the others say the documented rule.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lab.endpoint.control.context import ControlContext
from lab.endpoint.plans import shadows_of, variants_of
from lab.endpoint.protocol.errors import ApiError, validation_exception
from lab.endpoint.records import Body, EndpointRecord, Resource, Status
from lab.spec import SERVERLESS_TIERS

_HALF: Final = 50
_LINEAR_LEAST: Final = 10
_ROLLING_LEAST: Final = 5
_ON_INSTANCES_ONLY: Final = (
    "InstanceType",
    "InitialInstanceCount",
    "InstancePools",
    "AcceleratorType",
    "VolumeSizeInGB",
    "ModelDataDownloadTimeoutInSeconds",
    "ContainerStartupHealthCheckTimeoutInSeconds",
    "ManagedInstanceScaling",
    "RoutingConfig",
    "InferenceAmiVersion",
    "CapacityReservationConfig",
    "CoreDumpConfig",
    "EnableSSMAccess",
)
_OWN_DISK: Final = re.compile(r"ml\.(?:[a-z]+\d+[a-z]*d[a-z]*|g\d.*|p[345].*|trn.*|inf.*)\.")
"""Types whose instances have a disk of their own, and so take no volume."""

_NOT_SERVERLESS: Final = (
    "DataCaptureConfig",
    "VpcConfig",
    "AsyncInferenceConfig",
    "ExplainerConfig",
    "ShadowProductionVariants",
    "CrossRegionTrafficConfig",
)


def check_config(config: Body, models: Mapping[str, Resource]) -> None:
    """Raises ``ApiError`` with the first rule that a configuration breaks."""
    for problem in _config_problems(config, models):
        raise validation_exception(problem)


def check_deployment(deployment: Body, *, serverless: bool) -> None:
    """The same for a ``DeploymentConfig``."""
    for problem in _deployment_problems(deployment, serverless=serverless):
        raise validation_exception(problem)


def check_weights(weights: Sequence[float]) -> None:
    """Requests have to go somewhere."""
    if sum(weights) <= 0:
        raise validation_exception(
            "The sum of the weights of all production variants must be greater than 0."
        )


def check_quota(context: ControlContext, name: str, wanted: int) -> None:
    """Refuse more instances than an account has: without a quota, a slip of a digit would have the
    machine start a million containers. ``wanted`` of the endpoint ``name``. Raises ``ApiError``.
    """
    rows = context.store.endpoints()
    used = {row.name: _instances(row, context) for row in rows}
    delta, total = wanted - used.get(name, 0), sum(used.values())
    if delta > 0 and total + delta > context.most_instances:
        raise ApiError(
            "ResourceLimitExceeded",
            "The account-level service limit 'Number of instances across active endpoints' is "
            f"{context.most_instances} Instances, with current utilization of {total} Instances "
            f"and a request delta of {delta} Instances. Please use AWS Service Quotas to request "
            "an increase for this quota. If AWS Service Quotas is not available, contact AWS "
            "support to request an increase for this quota. The lab's limit is LAB_MAX_INSTANCES.",
        )


def initial_count(config: Body) -> int:
    """Instances that a configuration begins with."""
    return sum(variant.get("InitialInstanceCount", 0) for variant in variants_of(config))


def _instances(row: EndpointRecord, context: ControlContext) -> int:
    """What an endpoint has, or is to have."""
    if row.status is Status.FAILED:
        return 0
    coming = row.pending_config or (row.config_name if row.status is Status.CREATING else None)
    config = None if coming is None else context.config_of(row, coming)
    if config is not None:
        return initial_count(config)
    return sum(state.count for state in (row.pending or row.variants).values())


def _config_problems(config: Body, models: Mapping[str, Resource]) -> Iterator[str]:
    production = config["ProductionVariants"]
    shadows = shadows_of(config)
    variants = variants_of(config)
    names = [variant["VariantName"] for variant in variants]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f'Production variant names must be unique: "{name}" is used more than once.'
    if shadows and (len(production), len(shadows)) != (1, 1):
        yield (
            "When ShadowProductionVariants is specified, exactly one production variant and one "
            "shadow variant are supported."
        )
    if shadows and ("AsyncInferenceConfig" in config or "ExplainerConfig" in config):
        yield "Shadow variants are not supported with AsyncInferenceConfig or ExplainerConfig."
    for variant in variants:
        if "ServerlessConfig" in variant:
            yield from _serverless_problems(variant, config, models)
        else:
            yield from _instance_problems(variant, config)
    if sum(variant.get("InitialVariantWeight", 1.0) for variant in production) <= 0:
        yield "The sum of InitialVariantWeight of all production variants must be greater than 0."


def _instance_problems(variant: Mapping[str, Any], config: Body) -> Iterator[str]:
    name = variant["VariantName"]
    pools, instance = "InstancePools" in variant, "InstanceType" in variant
    if pools and instance:
        yield f"Specify one of either InstanceType or InstancePools for production variant {name}."
    if not pools and not instance:
        yield f"Specify InstanceType or ServerlessConfig for production variant {name}."
    if "InitialInstanceCount" not in variant:
        yield f"InitialInstanceCount is required for production variant {name}."
    yield from _routing_problems(variant)
    if "VolumeSizeInGB" in variant and _OWN_DISK.match(variant.get("InstanceType", "")):
        yield (
            "VolumeSize parameter is not allowed for the selected Instance type "
            f"{variant['InstanceType']}"
        )
    component = "ModelName" not in variant
    if "ManagedInstanceScaling" in variant and not component:
        yield "ManagedInstanceScaling is only supported for inference component endpoints."
    if component and not pools and "ExecutionRoleArn" not in config:
        yield (
            f"ModelName is required for production variant {name}, or ExecutionRoleArn for an "
            "endpoint with inference components."
        )


def _routing_problems(variant: Mapping[str, Any]) -> Iterator[str]:
    routing: Mapping[str, Any] = variant.get("RoutingConfig", {})
    key, name = "PrefixAwareRoutingConfig", variant["VariantName"]
    if routing.get("RoutingStrategy") != "PREFIX_AWARE":
        if key in routing:
            yield f"{key} is only supported with PREFIX_AWARE for production variant {name}."
        return
    for needed in ("PrefixLength", "ConcurrencyThreshold"):
        if needed not in routing.get(key, {}):
            yield f"{key}.{needed} is required with PREFIX_AWARE for production variant {name}."


def _serverless_problems(
    variant: Mapping[str, Any], config: Body, models: Mapping[str, Resource]
) -> Iterator[str]:
    name = variant["VariantName"]
    if len(config["ProductionVariants"]) > 1:
        yield "Serverless endpoints support only one production variant."
    for key in _ON_INSTANCES_ONLY:
        if key in variant:
            yield f"{key} cannot be specified with ServerlessConfig for production variant {name}."
    for key in _NOT_SERVERLESS:
        if key in config:
            yield f"{key} is not supported for serverless endpoints."
    if config.get("EnableNetworkIsolation"):
        yield "EnableNetworkIsolation is not supported for serverless endpoints."
    serverless = variant["ServerlessConfig"]
    memory, most = serverless["MemorySizeInMB"], serverless["MaxConcurrency"]
    if memory not in {tier.memory_mb for tier in SERVERLESS_TIERS}:
        tiers = ", ".join(tier.name for tier in SERVERLESS_TIERS)
        yield f"MemorySizeInMB must be one of [{tiers}]: {memory} is not."
    if (provisioned := serverless.get("ProvisionedConcurrency", 0)) > most:
        yield (
            f"ProvisionedConcurrency ({provisioned}) must be less than or equal to "
            f"MaxConcurrency ({most})."
        )
    if "ModelName" not in variant:
        yield f"ModelName is required for production variant {name}."
    else:
        yield from _serverless_model_problems(models[variant["ModelName"]].body)


def _serverless_model_problems(model: Body) -> Iterator[str]:
    # What CreateModel refuses itself, such as several containers, need not be looked for here.
    for container in model.get("Containers") or [model["PrimaryContainer"]]:
        if "ModelDataSource" in container:
            yield (
                "Model with containers that use ModelDataSource is not supported for serverless "
                "endpoints."
            )
    if model.get("EnableNetworkIsolation"):
        yield "Models with network isolation are not supported for serverless endpoints."


def _deployment_problems(deployment: Body, *, serverless: bool) -> Iterator[str]:
    blue_green = deployment.get("BlueGreenUpdatePolicy")
    rolling = deployment.get("RollingUpdatePolicy")
    if blue_green is not None and rolling is not None:
        yield "Specify one of either BlueGreenUpdatePolicy or RollingUpdatePolicy."
    if rolling is not None:
        if serverless:
            yield "RollingUpdatePolicy is not supported for serverless endpoints."
        yield from _size_problems("MaximumBatchSize", rolling["MaximumBatchSize"], _ROLLING_LEAST)
    if blue_green is None:
        return
    traffic = blue_green["TrafficRoutingConfiguration"]
    if serverless and traffic["Type"] != "ALL_AT_ONCE":
        yield f"{traffic['Type']} traffic routing is not supported for serverless endpoints."
    for kind, key, least in (
        ("CANARY", "CanarySize", 1),
        ("LINEAR", "LinearStepSize", _LINEAR_LEAST),
    ):
        if traffic["Type"] == kind and key not in traffic:
            yield f"{key} is required when TrafficRoutingConfiguration.Type is {kind}."
        if traffic["Type"] != kind and key in traffic:
            yield f"{key} is only supported when TrafficRoutingConfiguration.Type is {kind}."
        if key in traffic:
            yield from _size_problems(key, traffic[key], least)


def _size_problems(key: str, size: Mapping[str, Any], least: int) -> Iterator[str]:
    if size["Type"] == "CAPACITY_PERCENT" and not least <= size["Value"] <= _HALF:
        yield f"{key} must be between {least}% and {_HALF}% of the variant's instance count."
