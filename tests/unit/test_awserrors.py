"""Every code and every exception that a call to AWS may end with has a meaning."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions as refused
from botocore.exceptions import ClientError
from botocore.session import Session as Core

from lab.aws.access.permissions import ACTIONS, actions_of
from lab.awserrors import RAISED, ErrorKind, is_absent, kind_of, kind_of_code
from tests.unit.aws.services import SERVICES

CODES: Mapping[str, Sequence[str]] = json.loads(
    Path(__file__).with_name("awserrors.json").read_text(encoding="utf-8")
)
"""Codes that services declare or document, by the kind that each means to who pushes."""

COMMON = (
    # Of every service, as AWS's references list them; no model of botocore's declares them.
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InternalFailure",
    "MalformedHttpRequestException",
    "NotAuthorized",
    "OptInRequired",
    "RequestAbortedException",
    "RequestEntityTooLargeException",
    "RequestExpired",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "ThrottlingException",
    "UnrecognizedClientException",
    "UnknownOperationException",
    "ValidationError",
)


def refusal(code: str, message: str = "", operation: str = "DescribeStacks") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def test_every_code_that_a_listed_operation_declares_has_a_kind() -> None:
    core = Core()
    missing = []
    for service in SERVICES:
        model = core.get_service_model(service)
        for name in model.operation_names:
            if set(actions_of(service, name)) <= ACTIONS:
                for shape in model.operation_model(name).error_shapes:
                    code = shape.metadata.get("error", {}).get("code", shape.name)
                    if kind_of_code(code) is ErrorKind.OTHER:
                        missing.append(f"{service} {name}: {code}")
    assert not missing, missing


@pytest.mark.parametrize("code", COMMON)
def test_every_code_that_any_service_may_answer_has_a_kind(code: str) -> None:
    assert kind_of(refusal(code)) is not ErrorKind.OTHER


@pytest.mark.parametrize("kind", CODES)
def test_codes_of_aws_have_the_kind_that_they_mean(kind: str) -> None:
    assert {code: kind_of_code(code) for code in CODES[kind]} == dict.fromkeys(
        CODES[kind], ErrorKind[kind]
    )


def test_a_code_that_says_nothing_known_has_no_kind() -> None:
    assert kind_of_code("SomethingElse") is ErrorKind.OTHER
    assert kind_of_code("") is ErrorKind.OTHER


def test_every_exception_of_botocore_has_a_kind_and_the_special_come_before_the_general() -> None:
    classes: list[Any] = [
        one
        for one in vars(refused).values()
        if isinstance(one, type) and issubclass(one, refused.BotoCoreError)
    ]
    assert len(classes) > 50
    for one in classes:
        assert kind_of(one.__new__(one)) is not ErrorKind.OTHER
    for index, (kind, _) in enumerate(RAISED):
        shadowed = [later for later, _ in RAISED[index + 1 :] if issubclass(later, kind)]
        assert not shadowed, f"{kind.__name__} hides {shadowed}"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ValidationError", "Stack with id inference-lab-x does not exist"),
        ("ValidationException", 'Could not find endpoint "arn:aws:sagemaker:...".'),
        ("RepositoryNotFoundException", ""),
        ("404", "Not Found"),
        ("NoSuchEntity", ""),
        ("ResourceNotFoundException", ""),
    ],
)
def test_each_service_says_in_its_own_way_that_a_thing_is_absent(code: str, message: str) -> None:
    assert is_absent(refusal(code, message))


def test_a_denied_bucket_is_not_an_absent_one() -> None:
    assert not is_absent(refusal("403", "Forbidden"))


def test_an_update_that_would_change_nothing_is_told_from_a_wrong_one() -> None:
    said = "No updates are to be performed."
    assert kind_of(refusal("ValidationError", said, "UpdateStack")) is ErrorKind.UNCHANGED
    assert kind_of(refusal("ValidationError", "Bad template.")) is ErrorKind.INVALID


def test_an_invalid_request_that_speaks_of_a_limit_is_a_quota() -> None:
    said = "The account-level service limit 'ml.m5.xlarge for endpoint usage' is 0 Instances"
    assert (
        kind_of(refusal("ValidationException", f"{said}: request exceeds limit."))
        is ErrorKind.QUOTA
    )
    assert kind_of(refusal("ResourceLimitExceeded", said)) is ErrorKind.QUOTA
