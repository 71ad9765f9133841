"""Requests drawn from botocore's own model: each is answered, or refused with a 4xx."""

import functools
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.endpoint.protocol.errors import ApiError
from tests.unit.endpoint.controlled import ARN, MODEL, Plane, check_answer, instance, serverless

OPERATIONS = (
    "AddTags",
    "CreateEndpoint",
    "CreateEndpointConfig",
    "CreateModel",
    "DeleteEndpoint",
    "DeleteEndpointConfig",
    "DeleteModel",
    "DeleteTags",
    "DescribeEndpoint",
    "DescribeEndpointConfig",
    "DescribeModel",
    "ListEndpointConfigs",
    "ListEndpoints",
    "ListModels",
    "ListTags",
    "UpdateEndpoint",
    "UpdateEndpointWeightsAndCapacities",
)
# Few names, so that requests meet what earlier ones made.
NAMES = ("m", "c", "s", "v", "E", "e")
ARNS = (f"{ARN}:model/m", f"{ARN}:endpoint-config/c", f"{ARN}:endpoint/e", f"{ARN}:endpoint/x")
# What a drawn request rarely hits upon by itself.
SENSIBLE: dict[str, dict[str, Any]] = {
    "CreateModel": {"ModelName": "e", "PrimaryContainer": {"Image": "i"}},
    "CreateEndpointConfig": {"EndpointConfigName": "e", "ProductionVariants": [instance()]},
    "CreateEndpoint": {"EndpointName": "v", "EndpointConfigName": "s"},
    "UpdateEndpoint": {"EndpointName": "e", "EndpointConfigName": "d"},
    "UpdateEndpointWeightsAndCapacities": {"EndpointName": "e"},
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([10**400, "\ud800", "", "\0", "a\n"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@functools.cache
def drawn(shape: Any, *, wild: bool) -> st.SearchStrategy[Any]:
    """Values of a shape that keep its constraints; wild ones mostly do."""
    kind = shape.type_name
    if kind == "structure":
        members = {name: drawn(member, wild=wild) for name, member in shape.members.items()}
        required = {name: members[name] for name in shape.required_members}
        optional = {name: each for name, each in members.items() if name not in required}
        few = st.lists(st.sampled_from(sorted(optional)), max_size=3) if optional else st.just([])
        return few.flatmap(
            lambda names: st.fixed_dictionaries({**required, **{n: optional[n] for n in names}})
        )
    if kind == "list":
        least, most = shape.metadata.get("min", 0), min(3, shape.metadata.get("max", 3))
        return st.lists(drawn(shape.member, wild=wild), min_size=least, max_size=most)
    if kind == "map":
        keys = drawn(shape.key, wild=False)
        keys = keys | st.text(max_size=5) if wild else keys  # as JSON has no others
        return st.dictionaries(keys, drawn(shape.value, wild=wild), max_size=2)
    right = _scalar(shape)
    return st.one_of(right, right, right, right, JSON) if wild else right


def _scalar(shape: Any) -> st.SearchStrategy[Any]:
    limits = shape.metadata
    if "enum" in limits:
        return st.sampled_from(limits["enum"])
    least = limits.get("min", 0)
    numbers: dict[str, st.SearchStrategy[Any]] = {
        "boolean": st.booleans(),
        "integer": st.integers(least, limits.get("max", least + 10)),
        "float": st.floats(0, 10),
        "timestamp": st.floats(1.7e9, 1.9e9),
    }
    if shape.type_name in numbers:
        return numbers[shape.type_name]
    for part, values in {
        "RoleArn": ["arn:aws:iam::123456789012:role/r"],
        "Topic": ["arn:aws:sns:us-east-1:123456789012:t"],
        "Arn": ARNS,
        "Ur": ["s3://bucket/key"],
        "KeyId": ["key"],
        "Partition": ["mig-1g.5gb"],
    }.items():
        if part in shape.name:
            return st.sampled_from(values)
    return st.sampled_from(NAMES)


def requests() -> st.SearchStrategy[tuple[str, Any]]:
    return st.sampled_from(OPERATIONS).flatmap(
        lambda operation: st.tuples(
            st.just(operation),
            st.one_of(
                drawn(_input(operation), wild=False),
                drawn(_input(operation), wild=False).map(
                    lambda asked: {**asked, **SENSIBLE.get(operation, {})}
                ),
                drawn(_input(operation), wild=True),
                JSON,
            ),
        )
    )


def _input(operation: str) -> Any:
    return MODEL.operation_model(operation).input_shape


@settings(suppress_health_check=list(HealthCheck))
@given(asked=st.lists(st.tuples(requests(), st.booleans()), min_size=3, max_size=8))
def test_every_request_is_answered_or_refused_and_nothing_else(
    asked: list[tuple[tuple[str, Any], bool]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plane = Plane(Path(folder))
        for operation, body in (
            ("CreateModel", {"ModelName": "m", "PrimaryContainer": {"Image": "i"}}),
            *(
                ("CreateEndpointConfig", {"EndpointConfigName": n, "ProductionVariants": [v]})
                for n, v in (("c", instance()), ("d", instance()), ("s", serverless()))
            ),
            ("CreateEndpoint", {"EndpointName": "e", "EndpointConfigName": "c"}),
        ):
            plane.control.call(operation, body)
        plane.fleet.work()
        try:
            for (operation, body), worked in asked:
                _hold(plane, operation, body)
                if worked:
                    plane.fleet.work()
                for row in plane.store.endpoints():
                    assert _hold(plane, "DescribeEndpoint", {"EndpointName": row.name})
        finally:
            plane.store.close()


def _hold(plane: Plane, operation: str, body: Any) -> bool:
    try:
        answer = plane.control.call(operation, body)
    except ApiError as error:
        refused = error
    else:
        check_answer(operation, answer)
        return True
    assert 400 <= refused.status < 500
    assert json.dumps(refused.message)
    return False
