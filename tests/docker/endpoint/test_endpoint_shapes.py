"""Whatever a client sends is answered with success or with an error of the caller's, never 500.

A request of each kind here, and noise by the hundred in `make test-long`; requests drawn from
botocore's own model are sent to the control plane without HTTP in the unit tests.
"""

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.docker.endpoint.site import Site, realtime

_SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


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
