"""Names are derived, legal, and nobody else's; an order that can never be is refused."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.aws.model import DeploymentNames, Order, ServingKind
from lab.errors import UsageError

ENDPOINTS = st.from_regex(r"[a-z0-9]{1,16}(-[a-z0-9]{1,15})?", fullmatch=True)
REGIONS = st.sampled_from(["us-east-1", "us-east-2", "ap-southeast-1", "ap-southeast-2"])
ACCOUNT = "123456789012"


@given(endpoint=ENDPOINTS, region=REGIONS)
def test_every_name_is_one_that_aws_takes(endpoint: str, region: str) -> None:
    names = DeploymentNames.of(endpoint, account=ACCOUNT, region=region)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", names.bucket)
    assert re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", names.stack)
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", names.endpoint)
    assert re.fullmatch(r"[\w+=,.@-]{1,64}", names.role)
    assert re.fullmatch(r"[a-z0-9]+([._/-][a-z0-9]+)*", names.repository)


@given(first=st.tuples(ENDPOINTS, REGIONS), second=st.tuples(ENDPOINTS, REGIONS))
def test_two_endpoints_share_no_bucket_and_no_role(
    first: tuple[str, str], second: tuple[str, str]
) -> None:
    one, other = (
        DeploymentNames.of(name, account=ACCOUNT, region=region) for name, region in (first, second)
    )
    assert (one.bucket == other.bucket) is (first == second)
    assert (one.role == other.role) is (first == second)


def test_a_long_name_keeps_region_and_account_in_its_bucket() -> None:
    long = "a" * 32
    buckets = {
        DeploymentNames.of(long, account=ACCOUNT, region=r).bucket
        for r in ("us-east-1", "us-east-2")
    }
    assert len(buckets) == 2
    assert all(f"-{ACCOUNT}-us-east-" in bucket for bucket in buckets)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a" * 33, "a b", "a--b"])
def test_an_endpoint_that_cannot_be_named_so_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name an endpoint"):
        _order(endpoint=name)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"memory_mb": None}, "needs --memory"),
        ({"memory_mb": 1500}, "no 1500 MB"),
        ({"max_concurrency": 0}, "cannot be had"),
        ({"instances": 0}, "0 instances"),
        ({"kind": ServingKind.REAL_TIME}, "needs --instance-type"),
    ],
)
def test_what_no_endpoint_can_be_is_refused(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        _order(**wrong)


def _order(**changes: Any) -> Order:
    usual: dict[str, Any] = {
        "endpoint": "eye",
        "variant": "onnx-slim",
        "model": "m",
        "kind": ServingKind.SERVERLESS,
        "memory_mb": 2048,
    }
    return Order(**{**usual, **changes})
