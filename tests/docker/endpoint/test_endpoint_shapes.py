"""Whatever a client sends is answered with success or with an error of the caller's, never 500.

A request of each kind here; drawn ones by the hundred are sent to the process in `make test-long`,
and to its control plane without HTTP in the unit tests.
"""

import json
from typing import Any

import botocore.session
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.docker.endpoint.site import Site, realtime

_MODEL = botocore.session.get_session().get_service_model("sagemaker")
_OPERATIONS = [
    *("CreateModel", "DescribeModel", "ListModels", "DeleteModel"),
    *("CreateEndpointConfig", "DescribeEndpointConfig", "ListEndpointConfigs"),
    *("DeleteEndpointConfig", "CreateEndpoint", "DescribeEndpoint", "ListEndpoints"),
    *("DeleteEndpoint", "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities"),
    *("AddTags", "ListTags", "DeleteTags"),
]
_DEPTH = 4
_SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


_TEXT = st.sampled_from(["a", "model-1", "s3://b/k", "arn:aws:x", "ml.m5.large"])
_NUMBER = st.integers(min_value=-2, max_value=5000)
_PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "map": st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
    "string": _TEXT,
    "boolean": st.booleans(),
    **dict.fromkeys(("integer", "long", "float", "double", "timestamp"), _NUMBER),
}


def values(shape: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of a shape, mostly well formed, at times of another type altogether."""
    wrong: st.SearchStrategy[Any] = st.sampled_from(
        [None, "", "x" * 300, -1, 2**40, 1.5, True, [], {}, "\u0000é"]
    )
    return st.one_of(wrong, *([good(shape, depth)] * 5))


def good(shape: Any, depth: int) -> st.SearchStrategy[Any]:
    if shape.type_name == "structure" and depth < _DEPTH:
        members = {name: values(member, depth + 1) for name, member in shape.members.items()}
        needed = set(shape.required_members)
        return st.fixed_dictionaries(
            {name: one for name, one in members.items() if name in needed},
            optional={name: one for name, one in members.items() if name not in needed},
        )
    if shape.type_name == "list" and depth < _DEPTH:
        return st.lists(values(shape.member, depth + 1), max_size=3)
    if shape.type_name == "string" and shape.enum:
        return st.sampled_from(shape.enum)
    return _PLAIN.get(shape.type_name, st.none())


def control(site: Site, operation: str, body: bytes) -> httpx.Response:
    return httpx.post(
        site.emulator.url,
        content=body,
        headers={
            "X-Amz-Target": f"SageMaker.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
        },
        timeout=60,
    )


@pytest.fixture(scope="module")
def echo(site: Site) -> Any:
    name = site.endpoint(site.config(realtime(site.model())))
    yield name
    site.delete(name)


@pytest.mark.parametrize(
    ("operation", "body", "code"),
    [
        ("ListModels", b"{}", 200),
        ("DescribeModel", b'{"ModelName": "nobody"}', 400),
        ("CreateModel", b'{"ModelName": null, "PrimaryContainer": {"Image": 1.5}}', 400),
        ("CreateEndpointConfig", b'{"ProductionVariants": [[], "\\u0000", 1e999]}', 400),
        ("CreateEndpoint", b"[]", 400),
        ("ListTags", b"{", 400),
        ("NoSuchOperation", b"{}", 400),
        ("", b"\xff\x00", 400),
    ],
)
def test_a_request_to_the_control_plane_is_answered_with_success_or_a_fault_of_the_callers(
    site: Site, operation: str, body: bytes, code: int
) -> None:
    answer = control(site, operation, body)
    assert answer.status_code == code, answer.text
    assert answer.headers["x-amzn-requestid"]
    if code != 200:
        assert set(answer.json()) >= {"__type", "message"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "code"),
    [
        ("POST", "{echo}/invocations", {"Content-Type": ""}, 200),
        ("POST", "{echo}/invocations", {"X-Amzn-SageMaker-Target-Variant": "nobody"}, 400),
        ("POST", "{echo}/invocations", {"X-Amzn-SageMaker-Session-Id": "~!"}, 400),
        ("POST", "{echo}/async-invocations", {"X-Amzn-SageMaker-RequestTTLSeconds": "x"}, 400),
        ("POST", "{echo}/other", {}, 404),
        ("GET", "{echo}/invocations", {}, 405),
        ("POST", "nobody/invocations-response-stream", {"X-Amz-Date": "now"}, 400),
        ("POST", "%00/invocations", {"Authorization": "AWS4-HMAC-SHA256 ?"}, 400),
        ("POST", "/invocations", {}, 400),
    ],
)
def test_a_request_to_the_runtime_is_answered_with_success_or_a_fault_of_the_callers(
    site: Site, echo: str, method: str, path: str, headers: dict[str, str], code: int
) -> None:
    url = f"{site.emulator.url}/endpoints/{path.format(echo=echo)}"
    answer = httpx.request(method, url, headers=headers, content=b"\x00{", timeout=60)
    assert answer.status_code == code, answer.text


@pytest.mark.long
@_SETTINGS
@given(data=st.data())
def test_no_request_to_the_control_plane_is_answered_500(site: Site, data: Any) -> None:
    operation = data.draw(st.sampled_from(_OPERATIONS))
    shape = _MODEL.operation_model(operation).input_shape
    request = data.draw(values(shape))
    answer = control(site, operation, json.dumps(request).encode())
    assert answer.status_code in {200, 400}, answer.text
    said = answer.json()
    assert answer.headers["x-amzn-requestid"]
    if answer.status_code == 400:
        assert set(said) >= {"__type", "message"}


@pytest.mark.long
@_SETTINGS
@given(body=st.binary(max_size=200), operation=st.text(max_size=30))
def test_no_noise_at_the_control_plane_is_answered_500(
    site: Site, body: bytes, operation: str
) -> None:
    target = operation.encode("ascii", "ignore").decode().strip()
    printable = "".join(letter for letter in target if letter.isprintable()).strip()
    answer = control(site, printable, body)
    assert 400 <= answer.status_code < 500, answer.text


_HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *("Content-Type", "Accept", "Authorization", "X-Amz-Date", "X-Amz-Content-Sha256"),
            *("X-Amzn-SageMaker-Custom-Attributes", "X-Amzn-SageMaker-Target-Model"),
            *("X-Amzn-SageMaker-Target-Variant", "X-Amzn-SageMaker-Inference-Id"),
            *("X-Amzn-SageMaker-Session-Id", "X-Amzn-SageMaker-Enable-Explanations"),
            *("X-Amzn-SageMaker-Inference-Component", "X-Amzn-SageMaker-InputLocation"),
            *("X-Amzn-SageMaker-RequestTTLSeconds", "X-Amzn-SageMaker-Accept", "Expect", "X-Any"),
        ]
    ),
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=40).map(
        str.strip
    ),
    max_size=5,
)


@pytest.mark.long
@_SETTINGS
@given(
    operation=st.sampled_from(
        ["invocations", "async-invocations", "invocations-response-stream", "other"]
    ),
    name=st.sampled_from(["echo", "nobody", "under_score", "a" * 80, "%00", "a/b", ""]),
    method=st.sampled_from(["POST", "POST", "POST", "GET", "PUT", "HEAD"]),
    headers=_HEADERS,
    body=st.binary(max_size=100),
)
def test_no_request_to_the_runtime_is_answered_500(
    site: Site,
    echo: str,
    operation: str,
    name: str,
    method: str,
    headers: dict[str, str],
    body: bytes,
) -> None:
    where = echo if name == "echo" else name
    answer = httpx.request(
        method,
        f"{site.emulator.url}/endpoints/{where}/{operation}",
        headers={key: value for key, value in headers.items() if key != "Expect"},
        content=body,
        timeout=60,
    )
    assert answer.status_code < 500, (answer.status_code, answer.text)
