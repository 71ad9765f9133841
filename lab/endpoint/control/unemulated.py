"""What SageMaker has and the lab has not: refused by the call that first names it, or ignored.

One table of each. What is refused would change what a program sees; what is ignored would not, and
is said in ``x-lab-note`` and in the emulator's log.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lab.endpoint.instances import table
from lab.endpoint.plans import variants_of
from lab.endpoint.protocol.errors import ApiError, validation_exception
from lab.endpoint.records import Body

_ANY: Final = frozenset[str]()

_Table = Mapping[str, frozenset[str]]
"""By path below the request: the values that are refused; ``_ANY`` is whatever is not false."""

_MODEL: Final[_Table] = {"VpcConfig": _ANY, "InferenceExecutionConfig": _ANY}
_CONTAINER: Final[_Table] = {
    "Mode": frozenset({"MultiModel"}),
    "MultiModelConfig": _ANY,
    "ModelPackageName": _ANY,
    "InferenceSpecificationName": _ANY,
    "AdditionalModelDataSources": _ANY,
    "ImageConfig.RepositoryAccessMode": frozenset({"Vpc"}),
    "ImageConfig.RepositoryAuthConfig": _ANY,
    "ModelDataSource.S3DataSource.ManifestS3Uri": _ANY,
    "ModelDataSource.S3DataSource.ManifestEtag": _ANY,
    "ModelDataSource.S3DataSource.HubAccessConfig": _ANY,
}
_CONFIG: Final[_Table] = {
    "KmsKeyId": _ANY,
    "VpcConfig": _ANY,
    "ExplainerConfig": _ANY,
    "CrossRegionTrafficConfig": _ANY,
    "DataCaptureConfig.KmsKeyId": _ANY,
    "AsyncInferenceConfig.OutputConfig.KmsKeyId": _ANY,
}
_VARIANT: Final[_Table] = {
    "InstancePools": _ANY,
    "AcceleratorType": _ANY,
    "AcceleratorPartitionLayouts": _ANY,
    "ManagedInstanceScaling": _ANY,
    "CapacityReservationConfig": _ANY,
    "CoreDumpConfig": _ANY,
    "EnableSSMAccess": _ANY,
}

_IGNORED: Final[Mapping[str, str]] = {
    "ContainerMetricsConfig": "a container's own metrics are not read",
    "ModelDataSource.S3DataSource.ModelAccessConfig": "no licence is asked for",
    "VolumeSizeInGB": "the disk is this machine's",
    "InferenceAmiVersion": "the machine is this one",
    "VariantInstanceProvisionTimeoutInSeconds": "there is always an instance",
    "MetricsConfig": "metrics come as often as LAB_PING_S says",
    "AsyncInferenceConfig.OutputConfig.NotificationConfig": "SNS's messages go to the log",
    "DeploymentConfig.AutoRollbackConfiguration": "there are no alarms to roll an update back",
    "DeploymentConfig.RollingUpdatePolicy.RollbackMaximumBatchSize": "a rollback is at once",
}


def check_model(model: Body, containers: Sequence[Mapping[str, Any]]) -> None:
    """Raises ``ApiError`` for the first member of a model that is not emulated."""
    if len(containers) > 1:
        raise _absent(f"a model of {len(containers)} containers", "Use one here.")
    _check(model, _MODEL)
    for container in containers:
        _check(container, _CONTAINER)


def check_config(config: Body) -> None:
    """The same for an endpoint configuration."""
    _check(config, _CONFIG)
    for variant in variants_of(config):
        _check(variant, _VARIANT)
        name = variant["VariantName"]
        if "ModelName" not in variant:
            raise _absent(
                f"inference components, for which production variant {name} names no model",
                "Name one here.",
            )
        known = table().get(variant.get("InstanceType", ""))
        if known is not None and known.accelerator:
            raise _absent(
                f"{known.name}, which has an accelerator ({known.accelerator})",
                "Choose an instance type without one here.",
            )


def ignored(asked: Body) -> Iterator[str]:
    """What a request names that makes no difference here, in words."""
    several = ("Containers", "ProductionVariants", "ShadowProductionVariants")
    parts = [asked, asked.get("PrimaryContainer", {})]
    parts += [part for key in several for part in asked.get(key, ())]
    for path, why in _IGNORED.items():
        if any(_at(part, path) for part in parts):
            yield f"The lab ignores {path}: {why}."


def _check(body: Body, refused: _Table) -> None:
    for path, values in refused.items():
        found = _at(body, path)
        if found and not values:
            raise _absent(path, "Leave it out here.")
        if values and found in values:
            raise _absent(f"{path} {found}", "Leave it out here.")


def _at(body: Body, path: str) -> Any:
    found: Any = body
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _absent(what: str, remedy: str) -> ApiError:
    return validation_exception(
        f"The lab does not emulate {what}; on SageMaker it may work. {remedy}"
    )
