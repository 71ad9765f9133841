"""From an endpoint configuration and its models to what starting its containers takes."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lab.endpoint.instances import (
    Machine,
    instance_compute,
    instance_note,
    serverless_compute,
    serverless_note,
    table,
)
from lab.endpoint.live import LaunchFailed, VariantPlan
from lab.endpoint.modeldata import data_problem
from lab.endpoint.records import Body, EndpointKind, EndpointRecord, Origin, Resource
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.store import SqliteStore

PULL_TAG: Final = "inference-lab:pull"
"""On an endpoint configuration: ``cold`` pulls the image too, on a machine that never saw it."""

_NOWHERE: Final = "The lab does not emulate this; on SageMaker it may work."
_KV_AWARE: Final = (
    "The lab does not read containers' KV caches: with the routing strategy KV_AWARE every request "
    "goes where SageMaker sends one that no cache knows, to the instance with the least "
    "outstanding requests."
)
_DOWNLOAD_TIMEOUT_S: Final = 3600.0
"""``ModelDataDownloadTimeoutInSeconds`` unless it is given: the longest that may be."""


def kind_of(config: Body) -> EndpointKind:
    """How an endpoint of this configuration is called."""
    if config.get("AsyncInferenceConfig"):
        return EndpointKind.ASYNC
    if any(variant.get("ServerlessConfig") for variant in config["ProductionVariants"]):
        return EndpointKind.SERVERLESS
    return EndpointKind.REAL_TIME


def variants_of(config: Body) -> Sequence[Mapping[str, Any]]:
    """The production variants, then the shadows."""
    return (*config["ProductionVariants"], *shadows_of(config))


def routing_of(variant: Mapping[str, Any]) -> str:
    """Its ``RoutingStrategy``: random, unless another is asked for."""
    return str(variant.get("RoutingConfig", {}).get("RoutingStrategy", "RANDOM"))


def shadows_of(config: Body) -> Sequence[Mapping[str, Any]]:
    """The shadow variants."""
    shadows: Sequence[Mapping[str, Any]] = config.get("ShadowProductionVariants", ())
    return shadows


def stored(config: Resource, store: SqliteStore) -> Origin:
    """A configuration and all that it names, as they are in the store now."""
    names = [variant["ModelName"] for variant in variants_of(config.body) if "ModelName" in variant]
    models = {name: store.resource("model", name) for name in names}
    return Origin(
        config=config,
        models={name: model for name, model in models.items() if model is not None},
        tags=store.tags(config.arn),
    )


def origin(record: EndpointRecord, config_name: str, store: SqliteStore) -> Origin | None:
    """One of an endpoint's configurations, as it was when the endpoint was told to use it.

    The store's for an endpoint that does not know: an older version of the lab has made it.
    """
    known = record.origins.get(config_name)
    if known is not None:
        return known
    config = store.resource("config", config_name)
    return None if config is None else stored(config, store)


def plans_of(
    record: EndpointRecord,
    config_name: str,
    *,
    store: SqliteStore,
    settings: EmulatorSettings,
    machine: Machine,
) -> tuple[Resource, Sequence[VariantPlan]]:
    """One of an endpoint's configurations, even if it was deleted since, and its plans.

    Raises ``LaunchFailed`` as ``variant_plans`` does.
    """
    found = origin(record, config_name, store)
    if found is None:
        raise LaunchFailed(f'The endpoint configuration "{config_name}" was deleted.')
    plans = variant_plans(found, endpoint=record.name, settings=settings, machine=machine)
    return found.config, plans


def variant_plans(
    origin: Origin, *, endpoint: str, settings: EmulatorSettings, machine: Machine
) -> Sequence[VariantPlan]:
    """A plan for each production variant, then for each shadow.

    Raises ``LaunchFailed`` for what cannot be emulated, and for a model that is gone.
    """
    config = origin.config.body
    return [
        _plan(
            variant,
            shadow=variant in shadows_of(config),
            origin=origin,
            endpoint=endpoint,
            settings=settings,
            machine=machine,
        )
        for variant in variants_of(config)
    ]


def notes(config: Body, machine: Machine) -> Mapping[str, str]:
    """By variant, the limits SageMaker enforces and this machine does not, and the like."""
    found = {}
    for variant in variants_of(config):
        note = None
        if serverless := variant.get("ServerlessConfig"):
            note = serverless_note(serverless["MemorySizeInMB"], machine)
        elif instance := variant.get("InstanceType"):
            note = instance_note(instance, machine)
        routed = _KV_AWARE if routing_of(variant) == "KV_AWARE" else None
        if said := " ".join(each for each in (note, routed) if each):
            found[variant["VariantName"]] = said
    return found


def _plan(
    variant: Mapping[str, Any],
    *,
    shadow: bool,
    origin: Origin,
    endpoint: str,
    settings: EmulatorSettings,
    machine: Machine,
) -> VariantPlan:
    name, config = variant["VariantName"], origin.config.body
    model = _model(name, variant, origin.models)
    container = _container(name, model.body)
    data, compressed, etag = _data(name, container)
    serverless = variant.get("ServerlessConfig")
    if serverless is not None:
        compute = serverless_compute(serverless["MemorySizeInMB"], machine)
        count = serverless.get("ProvisionedConcurrency", 0)
        startup = download = settings.serverless_startup_timeout_s
    else:
        compute = instance_compute(_instance_type(name, variant), machine)
        count = variant.get("InitialInstanceCount", 1)
        startup = float(
            variant.get("ContainerStartupHealthCheckTimeoutInSeconds", settings.startup_timeout_s)
        )
        download = float(variant.get("ModelDataDownloadTimeoutInSeconds", _DOWNLOAD_TIMEOUT_S))
    prefix = variant.get("RoutingConfig", {}).get("PrefixAwareRoutingConfig", {})
    isolated = model.body.get("EnableNetworkIsolation") or config.get("EnableNetworkIsolation")
    return VariantPlan(
        endpoint=endpoint,
        name=name,
        kind=kind_of(config),
        image=container["Image"],
        model_data=data,
        compressed=compressed,
        etag=etag,
        env=dict(container.get("Environment", {})),
        hostname=container.get("ContainerHostname"),
        isolated=bool(isolated),
        instance_type=variant.get("InstanceType"),
        compute=compute,
        initial_count=count,
        max_concurrency=None if serverless is None else serverless["MaxConcurrency"],
        weight=float(variant.get("InitialVariantWeight", 1.0)),
        shadow=shadow,
        startup_timeout_s=startup,
        download_timeout_s=download,
        routing=routing_of(variant),
        prefix_bytes=prefix.get("PrefixLength", 0),
        prefix_at_once=prefix.get("ConcurrencyThreshold", 0),
        pull_cold=origin.tags.get(PULL_TAG) == "cold",
        pin=origin.pins.get(name),
    )


def _refuse(variant: str, what: str) -> LaunchFailed:
    return LaunchFailed(f"Production variant {variant} {what} {_NOWHERE}")


def _model(variant: str, body: Mapping[str, Any], models: Mapping[str, Resource]) -> Resource:
    name = body.get("ModelName")
    if name is None:
        raise _refuse(variant, "names no model: it is for inference components.")
    found = models.get(name)
    if found is None:
        raise LaunchFailed(f'Production variant {variant} uses the model "{name}", which is gone.')
    return found


def _container(variant: str, model: Body) -> Mapping[str, Any]:
    containers = model.get("Containers") or [model["PrimaryContainer"]]
    if len(containers) > 1:
        raise _refuse(variant, f"has a model of {len(containers)} containers.")
    container: Mapping[str, Any] = containers[0]
    if container.get("Mode") == "MultiModel":
        raise _refuse(variant, "has a multi-model container.")
    if container.get("AdditionalModelDataSources"):
        raise _refuse(variant, "has a container with AdditionalModelDataSources.")
    if "Image" not in container:
        raise _refuse(variant, "has a container that is made from a model package.")
    return container


def _instance_type(variant: str, body: Mapping[str, Any]) -> str:
    name: str | None = body.get("InstanceType")
    if name is None:
        raise _refuse(variant, "names no instance type.")
    known = table().get(name)
    if known is not None and known.accelerator:
        raise _refuse(variant, f"runs on {name}, which has an accelerator ({known.accelerator}).")
    return name


def _data(variant: str, container: Mapping[str, Any]) -> tuple[str | None, bool, str | None]:
    """Where the model lies, whether it is an archive, and the ETag that it must have."""
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if source is None:
        return container.get("ModelDataUrl"), True, None
    problem = data_problem(source)
    if problem is not None:
        raise LaunchFailed(f"Production variant {variant}: {problem}")
    etag = source.get("ETag")
    return source["S3Uri"], source["CompressionType"] == "Gzip", etag and etag.strip('"')
