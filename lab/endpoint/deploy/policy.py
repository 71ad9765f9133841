"""What a ``DeploymentConfig`` asks for, and what ``RetainAllVariantProperties`` keeps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lab.endpoint.live import VariantPlan
from lab.endpoint.records import Body, EndpointKind, EndpointRecord, VariantState


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How the traffic goes over to a new fleet."""

    shares: Sequence[float] = (1.0,)
    """Of the requests, what the new fleet gets at each step; the last is 1."""
    wait_s: float = 0.0
    """After each step: AWS watches its alarms meanwhile ("baking")."""
    termination_wait_s: float = 0.0
    """After the last step, before the old fleet is stopped."""
    limit_s: float | None = None
    """For all of it; then it is rolled back."""


def policy(deployment: Body, *, instances: int) -> Policy:
    """From ``DeploymentConfig``; ``instances`` are the new fleet's, which a step may count in.

    A rolling update is shifted as linearly as its batches would: the new fleet is built whole
    beside the old one, where AWS builds it batch by batch.
    """
    rolling = deployment.get("RollingUpdatePolicy")
    if rolling:
        return Policy(
            shares=_steps(rolling.get("MaximumBatchSize"), instances),
            wait_s=float(rolling.get("WaitIntervalInSeconds") or 0),
            limit_s=rolling.get("MaximumExecutionTimeoutInSeconds"),
        )
    blue_green = deployment.get("BlueGreenUpdatePolicy") or {}
    routing: Mapping[str, Any] = blue_green.get("TrafficRoutingConfiguration") or {}
    match routing.get("Type"):
        case "CANARY":
            first = _share(routing.get("CanarySize"), instances)
            shares: Sequence[float] = (first, 1.0) if first < 1 else (1.0,)
        case "LINEAR":
            shares = _steps(routing.get("LinearStepSize"), instances)
        case _:
            shares = (1.0,)
    return Policy(
        shares=shares,
        wait_s=float(routing.get("WaitIntervalInSeconds") or 0),
        termination_wait_s=float(blue_green.get("TerminationWaitInSeconds") or 0),
        limit_s=blue_green.get("MaximumExecutionTimeoutInSeconds"),
    )


def _share(size: Mapping[str, Any] | None, instances: int) -> float:
    if not size:
        return 1.0
    value = float(size.get("Value") or 0)
    share = value / max(1, instances) if size.get("Type") == "INSTANCE_COUNT" else value / 100
    return min(1.0, max(0.01, share))


def _steps(size: Mapping[str, Any] | None, instances: int) -> Sequence[float]:
    step = _share(size, instances)
    # Three steps of 33 % are meant to be all of it, and three of 34 % too.
    count = max(1, math.ceil(round(1 / step, 1)))
    return (*(step * number for number in range(1, count)), 1.0)


_COUNT = "DesiredInstanceCount"
_WEIGHT = "DesiredWeight"
_CAPTURE = "DataCaptureConfig"
_KEPT_CAPTURE = "RetainedDataCaptureConfig"
"""Ours: what was kept of a configuration that is no longer the endpoint's."""


_ALL = frozenset({_COUNT, _WEIGHT, _CAPTURE})


def in_service(plans: Sequence[VariantPlan], record: EndpointRecord) -> Sequence[VariantPlan]:
    """The plans of the configuration in service, with the weights and capacities of now."""
    return [_as_updated(plan, record.variants.get(plan.name)) for plan in plans]


def _as_updated(plan: VariantPlan, state: VariantState | None) -> VariantPlan:
    plan = _with(plan, state, _ALL)
    if state is None or plan.kind is not EndpointKind.SERVERLESS:
        return plan
    limit, provisioned = concurrency(plan, state)
    return replace(plan, max_concurrency=limit, initial_count=provisioned)


def concurrency(plan: VariantPlan, state: VariantState) -> tuple[int, int]:
    """Of a serverless variant: the maximum and the provisioned one, as last updated."""
    limit, provisioned = state.max_concurrency, state.provisioned_concurrency
    return (
        limit if limit is not None else plan.max_concurrency or 1,
        provisioned if provisioned is not None else plan.initial_count,
    )


def retained(plans: Sequence[VariantPlan], record: EndpointRecord) -> Sequence[VariantPlan]:
    """The plans of a new configuration, with what is to be kept from before."""
    kept = _kept(record.retain)
    return [_with(plan, record.variants.get(plan.name), kept) for plan in plans]


def _kept(retain: Body) -> frozenset[str]:
    if not retain.get("RetainAllVariantProperties"):
        return frozenset()
    excluded = retain.get("ExcludeRetainedVariantProperties") or ()
    return _ALL - {one.get("VariantPropertyType") for one in excluded}


def _with(plan: VariantPlan, state: VariantState | None, kept: frozenset[str]) -> VariantPlan:
    if state is None:
        return plan
    if _WEIGHT in kept:
        plan = replace(plan, weight=state.weight)
    # A serverless variant's initial count is its provisioned concurrency: its state has none.
    if _COUNT in kept and plan.kind is not EndpointKind.SERVERLESS:
        plan = replace(plan, initial_count=state.count)
    return plan


def capture_in_service(config: Body, record: EndpointRecord) -> Mapping[str, Any] | None:
    """``DataCaptureConfig`` when it is enabled."""
    return _enabled(record.retain.get(_KEPT_CAPTURE, config.get(_CAPTURE)))


def capture_retained(
    config: Body, old: Mapping[str, Any] | None, record: EndpointRecord
) -> tuple[Mapping[str, Any] | None, Body]:
    """Of an update: what is captured from now on, and what ``retain`` has to remember of it."""
    retain = {key: value for key, value in record.retain.items() if key != _KEPT_CAPTURE}
    if _CAPTURE not in _kept(record.retain):
        return _enabled(config.get(_CAPTURE)), retain
    return old, {**retain, _KEPT_CAPTURE: old}


def _enabled(capture: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return capture if capture and capture.get("EnableCapture") else None


def states(plans: Sequence[VariantPlan]) -> Mapping[str, VariantState]:
    """What to remember of a fleet that went into service."""
    return {
        plan.name: VariantState(
            name=plan.name,
            weight=plan.weight,
            count=0 if plan.kind is EndpointKind.SERVERLESS else plan.initial_count,
        )
        for plan in plans
    }
