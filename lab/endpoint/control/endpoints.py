"""Endpoints: what is wanted of them is written here, and the fleet brings it about."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from lab.endpoint.control.context import ControlContext
from lab.endpoint.control.describe import described
from lab.endpoint.control.paging import page
from lab.endpoint.control.rules import check_deployment, check_quota, check_weights, initial_count
from lab.endpoint.control.tags import tags_of
from lab.endpoint.plans import kind_of, shadows_of, stored
from lab.endpoint.protocol.errors import ApiError, validation_exception
from lab.endpoint.records import Body, EndpointKind, EndpointRecord, Status, VariantState

_IN_PROGRESS: Final = frozenset(
    {Status.CREATING, Status.UPDATING, Status.ROLLING_BACK, Status.DELETING}
)
_RETAIN: Final = ("RetainAllVariantProperties", "ExcludeRetainedVariantProperties")


class Endpoints:
    """``CreateEndpoint``, ``UpdateEndpoint``, ``UpdateEndpointWeightsAndCapacities``, ..."""

    def __init__(self, context: ControlContext) -> None:
        self._context = context

    def create(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write it down as CREATING, with all that it is made from."""
        context, name = self._context, asked["EndpointName"]
        tags = tags_of(asked.get("Tags", ()))
        deployment = asked.get("DeploymentConfig", {})
        now = context.clock.time()
        with context.store.transaction():
            config = context.resource("config", asked["EndpointConfigName"])
            check_deployment(deployment, serverless=kind_of(config.body) is EndpointKind.SERVERLESS)
            check_quota(context, name, initial_count(config.body))
            row = EndpointRecord(
                name=name,
                arn=context.names.arn("endpoint", name),
                created_at=now,
                modified_at=now,
                status=Status.CREATING,
                config_name=config.name,
                deployment=deployment,
                origins={config.name: stored(config, context.store)},
            )
            if not context.store.add_endpoint(row):
                raise context.taken("endpoint", name)
            context.store.set_tags(row.arn, tags)
        context.fleet.reconcile(name)
        return {"EndpointArn": row.arn}

    def describe(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        return described(self._context.endpoint(asked["EndpointName"]), context=self._context)

    def list(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        return page(
            self._context.store.endpoints(),
            asked,
            member="Endpoints",
            summary=lambda row: {
                "EndpointName": row.name,
                "EndpointArn": row.arn,
                "CreationTime": row.created_at,
                "LastModifiedTime": row.modified_at,
                "EndpointStatus": row.status.value,
            },
            sort_by={"Status": lambda row: row.status.value},
            filters={
                "LastModifiedTimeBefore": lambda row, at: row.modified_at < at,
                "LastModifiedTimeAfter": lambda row, at: row.modified_at > at,
                "StatusEquals": lambda row, status: row.status == status,
            },
        )

    def delete(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write it down as DELETING; AWS refuses this too while it is being created or changed."""
        now = self._context.clock.time()
        self._change(
            asked["EndpointName"],
            lambda row: replace(row, status=Status.DELETING, modified_at=now, failure_reason=None),
            failed_too=True,
        )
        return {}

    def update(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write it down as UPDATING to another configuration."""
        context, now = self._context, self._context.clock.time()
        config_name = asked["EndpointConfigName"]

        def changed(row: EndpointRecord) -> EndpointRecord:
            config = context.resource("config", config_name)
            if config_name == row.config_name:
                raise validation_exception(
                    "Cannot update endpoint with the currently in use endpoint configuration "
                    f'"{config.arn}".'
                )
            if context.store.resource("config", row.config_name) is None:
                raise _without_config(context, row)
            before = context.config_of(row, row.config_name)
            kind = kind_of(config.body)
            if (
                kind is EndpointKind.SERVERLESS
                and before is not None
                and kind_of(before) is not kind
            ):
                raise validation_exception(
                    f'Cannot update endpoint "{row.arn}" from instances to serverless: an '
                    "instance-based endpoint cannot be converted to a serverless endpoint."
                )
            deployment = asked.get("DeploymentConfig")
            if deployment is None:
                deployment = row.deployment if asked.get("RetainDeploymentConfig") else {}
            check_deployment(deployment, serverless=kind is EndpointKind.SERVERLESS)
            check_quota(context, row.name, initial_count(config.body))
            # The fleet keeps what it retained of an earlier configuration under keys of its own.
            retain = {key: value for key, value in row.retain.items() if key not in _RETAIN}
            retain |= {key: asked[key] for key in _RETAIN if key in asked}
            kept = {k: v for k, v in row.origins.items() if k == row.config_name}
            return replace(
                row,
                status=Status.UPDATING,
                modified_at=now,
                failure_reason=None,
                pending_config=config_name,
                pending=None,
                deployment=deployment,
                retain=retain,
                origins={**kept, config_name: stored(config, context.store)},
            )

        return {"EndpointArn": self._change(asked["EndpointName"], changed).arn}

    def scale(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write it down as UPDATING to other weights and capacities."""
        now = self._context.clock.time()

        def changed(row: EndpointRecord) -> EndpointRecord:
            config = self._context.config_of(row, row.config_name)
            wanted = dict(row.variants)
            listed = [each["VariantName"] for each in asked["DesiredWeightsAndCapacities"]]
            names = set(listed)
            if twice := sorted(name for name in names if listed.count(name) > 1):
                raise validation_exception(
                    f'DesiredWeightsAndCapacities names the variant "{twice[0]}" more than once: '
                    "name each once."
                )
            if unknown := sorted(names - set(wanted)):
                raise validation_exception(
                    f'The variant name(s) "{", ".join(unknown)}" is/are not present within '
                    f'endpoint configuration "{row.config_name}".'
                )
            for each in asked["DesiredWeightsAndCapacities"]:
                name = each["VariantName"]
                wanted[name] = _wanted(wanted[name], each, _variant(config, name), config)
            shadows = {v["VariantName"] for v in shadows_of(config)} if config else set()
            check_weights([s.weight for name, s in wanted.items() if name not in shadows])
            check_quota(self._context, row.name, sum(state.count for state in wanted.values()))
            return replace(
                row,
                status=Status.UPDATING,
                modified_at=now,
                failure_reason=None,
                pending_config=None,
                pending=wanted,
            )

        return {"EndpointArn": self._change(asked["EndpointName"], changed).arn}

    def _change(
        self,
        name: str,
        change: Callable[[EndpointRecord], EndpointRecord],
        *,
        failed_too: bool = False,
    ) -> EndpointRecord:
        """Change it in one transaction unless something is under way, and have it seen to."""

        def guarded(row: EndpointRecord) -> EndpointRecord:
            if row.status in _IN_PROGRESS:
                raise _in_progress(row)
            if row.status is Status.FAILED and not failed_too:
                raise validation_exception(
                    f'Cannot update endpoint "{row.arn}" in status Failed: it can only be deleted.'
                )
            return change(row)

        row = self._context.store.change_endpoint(name, guarded)
        if row is None:
            raise self._context.missing("endpoint", name)
        self._context.fleet.reconcile(name)
        return row


def _without_config(context: ControlContext, row: EndpointRecord) -> ApiError:
    """AWS's sentence names the old configuration, though the new one exists, and says no more."""
    return validation_exception(
        f"{context.missing('config', row.config_name).message} The lab adds: this is the "
        "configuration that the endpoint serves now, and it was deleted; SageMaker updates no "
        "endpoint whose configuration is gone. Make one of that name again (it need not be the "
        "same) and update then, or delete the endpoint and create it anew."
    )


def _in_progress(row: EndpointRecord) -> ApiError:
    return validation_exception(f'Cannot update in-progress endpoint "{row.arn}".')


def _variant(config: Body | None, name: str) -> Mapping[str, Any]:
    variants = [] if config is None else config["ProductionVariants"]
    return next((each for each in variants if each["VariantName"] == name), {})


def _wanted(
    state: VariantState, asked: Mapping[str, Any], variant: Mapping[str, Any], config: Body | None
) -> VariantState:
    serverless = variant.get("ServerlessConfig")
    update = asked.get("ServerlessUpdateConfig")
    count = asked.get("DesiredInstanceCount")
    if serverless is None:
        if update is not None:
            raise validation_exception(
                f"ServerlessUpdateConfig is not supported for variant {state.name}: it is not "
                "serverless."
            )
        if count == 0 and not (config is not None and "AsyncInferenceConfig" in config):
            raise validation_exception(
                f"DesiredInstanceCount must be at least 1 for variant {state.name}."
            )
    elif count is not None:
        raise validation_exception(
            f"DesiredInstanceCount is not supported for variant {state.name}: it is serverless."
        )
    wanted = replace(
        state,
        weight=asked.get("DesiredWeight", state.weight),
        count=state.count if count is None else count,
    )
    if serverless is None or update is None:
        return wanted
    wanted = replace(
        wanted,
        max_concurrency=update.get("MaxConcurrency", state.max_concurrency),
        provisioned_concurrency=update.get("ProvisionedConcurrency", state.provisioned_concurrency),
    )
    most = wanted.max_concurrency or serverless["MaxConcurrency"]
    provisioned = wanted.provisioned_concurrency or serverless.get("ProvisionedConcurrency", 0)
    if provisioned > most:
        raise validation_exception(
            f"ProvisionedConcurrency ({provisioned}) must be less than or equal to "
            f"MaxConcurrency ({most})."
        )
    return wanted
