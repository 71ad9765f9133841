"""``DescribeEndpoint``: what an endpoint is, was told to become, and has come to."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lab.endpoint.control.context import ControlContext
from lab.endpoint.deploy.policy import capture_in_service
from lab.endpoint.live import LiveEndpoint
from lab.endpoint.plans import origin, shadows_of, variants_of
from lab.endpoint.records import EndpointRecord, Status, VariantState

_UNDER_WAY: Final[Mapping[Status, str]] = {
    Status.CREATING: "Creating",
    Status.UPDATING: "Updating",
    Status.ROLLING_BACK: "Updating",
    Status.DELETING: "Deleting",
}
_AS_CONFIGURED: Final = (
    "AsyncInferenceConfig",
    "ExplainerConfig",
    "MetricsConfig",
    "CrossRegionTrafficConfig",
)
_LONGEST_MESSAGE: Final = 1024
_OF_VARIANT: Final = ("RoutingConfig", "ManagedInstanceScaling")


def described(row: EndpointRecord, *, context: ControlContext) -> dict[str, Any]:
    """The answer, in the API's shape."""
    found: dict[str, Any] = {
        "EndpointName": row.name,
        "EndpointArn": row.arn,
        "EndpointConfigName": row.config_name,
        "EndpointStatus": row.status.value,
        "CreationTime": row.created_at,
        "LastModifiedTime": row.modified_at,
    }
    if row.failure_reason is not None:
        found["FailureReason"] = row.failure_reason
    if row.deployment:
        found["LastDeploymentConfig"] = row.deployment
    config = context.config_of(row, row.config_name)
    if row.variants:
        live = context.fleet.live(row.name)
        of_config = {v["VariantName"]: v for v in variants_of(config)} if config else {}
        shadows = {v["VariantName"] for v in shadows_of(config)} if config else set()
        summaries = {
            name: _in_service(row, state, of_config.get(name, {}), live, context)
            for name, state in row.variants.items()
        }
        found["ProductionVariants"] = [s for name, s in summaries.items() if name not in shadows]
        if shadows:
            found["ShadowProductionVariants"] = [
                summary for name, summary in summaries.items() if name in shadows
            ]
    if config is not None:
        found |= {key: config[key] for key in _AS_CONFIGURED if key in config}
        if capture := capture_in_service(config, row) or config.get("DataCaptureConfig"):
            found["DataCaptureConfig"] = _capture(row, capture)
    if (pending := _pending(row, context)) is not None:
        found["PendingDeploymentSummary"] = pending
    return found


def _in_service(
    row: EndpointRecord,
    state: VariantState,
    variant: Mapping[str, Any],
    live: LiveEndpoint | None,
    context: ControlContext,
) -> dict[str, Any]:
    wanted = (row.pending or {}).get(state.name, state)
    found: dict[str, Any] = {
        "VariantName": state.name,
        "DeployedImages": _images(row, row.config_name, variant, context),
        "CurrentWeight": state.weight,
        "DesiredWeight": wanted.weight,
        **{key: variant[key] for key in _OF_VARIANT if key in variant},
    }
    if serverless := variant.get("ServerlessConfig"):
        found["CurrentInstanceCount"] = 0
        found["CurrentServerlessConfig"] = _serverless(serverless, state)
        if wanted != state:
            found["DesiredServerlessConfig"] = _serverless(serverless, wanted)
    else:
        found["CurrentInstanceCount"] = _running(state, live)
        found["DesiredInstanceCount"] = wanted.count
    # Not of an update to another configuration: that is in PendingDeploymentSummary.
    if row.pending_config is None and row.status in _UNDER_WAY:
        found["VariantStatus"] = [{"Status": _UNDER_WAY[row.status], "StartTime": row.modified_at}]
    return found


def _pending(row: EndpointRecord, context: ControlContext) -> dict[str, Any] | None:
    """Of a deployment that is under way: of creating, or of updating to another configuration."""
    name = row.config_name if row.status is Status.CREATING else row.pending_config
    if name is None or row.status not in {Status.CREATING, Status.UPDATING}:
        return None
    found: dict[str, Any] = {"EndpointConfigName": name, "StartTime": row.modified_at}
    config = context.config_of(row, name)
    for key in ("ProductionVariants", "ShadowProductionVariants"):
        if config is not None and key in config:
            found[key] = [_coming(row, name, variant, context) for variant in config[key]]
    return found


def _coming(
    row: EndpointRecord, config_name: str, variant: Mapping[str, Any], context: ControlContext
) -> dict[str, Any]:
    status: dict[str, Any] = {"Status": "Creating", "StartTime": row.modified_at}
    name = variant["VariantName"]
    said = (
        context.fleet.troubles(row.name).get(name),
        context.notes(row, config_name).get(name),
    )
    if message := " ".join(one for one in said if one):
        status["StatusMessage"] = message[:_LONGEST_MESSAGE]
    found = {
        "VariantName": variant["VariantName"],
        "DeployedImages": _images(row, config_name, variant, context),
        "DesiredWeight": variant["InitialVariantWeight"],
        "VariantStatus": [status],
        "CurrentInstanceCount": 0,
        **{key: variant[key] for key in (*_OF_VARIANT, "InstanceType") if key in variant},
    }
    if serverless := variant.get("ServerlessConfig"):
        found["DesiredServerlessConfig"] = serverless
    else:
        found["DesiredInstanceCount"] = variant.get("InitialInstanceCount", 1)
    return found


def _running(state: VariantState, live: LiveEndpoint | None) -> int:
    variants = () if live is None else live.all
    for variant in variants:
        if variant.name == state.name:
            return sum(server.healthy for server in variant.pool.servers)
    return state.count


def _serverless(config: Mapping[str, Any], state: VariantState) -> dict[str, Any]:
    found = dict(config)
    if state.max_concurrency is not None:
        found["MaxConcurrency"] = state.max_concurrency
    if state.provisioned_concurrency is not None:
        found["ProvisionedConcurrency"] = state.provisioned_concurrency
    return found


def _images(
    row: EndpointRecord, config_name: str, variant: Mapping[str, Any], context: ControlContext
) -> Sequence[Mapping[str, Any]]:
    made_from = origin(row, config_name, context.store)
    found = made_from.models.get(variant.get("ModelName", "")) if made_from else None
    if found is None:
        return []
    model = found.body
    pin = made_from.pins.get(variant["VariantName"]) if made_from else None
    resolved = (
        {}
        if pin is None
        else {
            "ResolvedImage": pin.resolved_image,
            "ResolutionTime": pin.resolved_at,
        }
    )
    containers = model.get("Containers") or [model.get("PrimaryContainer", {})]
    return [
        {"SpecifiedImage": container["Image"], **resolved}
        for container in containers
        if "Image" in container
    ]


def _capture(row: EndpointRecord, capture: Mapping[str, Any]) -> dict[str, Any]:
    enabled = bool(capture.get("EnableCapture"))
    started = enabled and row.status not in {Status.CREATING, Status.FAILED, Status.DELETING}
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if started else "Stopped",
        "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
        "DestinationS3Uri": capture["DestinationS3Uri"],
        "KmsKeyId": capture.get("KmsKeyId", ""),
    }
