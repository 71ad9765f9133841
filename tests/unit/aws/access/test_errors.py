import json
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions as refused
from botocore.exceptions import ClientError
from botocore.session import Session as Core

from lab.aws.access.codes import RAISED, kind_of_code
from lab.aws.access.errors import (
    HIDDEN,
    CallError,
    ErrorKind,
    is_absent,
    kind_of,
    redacted,
    translated,
)
from lab.aws.access.permissions import ACTIONS, actions_of
from lab.aws.access.session import open_session
from tests.cloud.world import World
from tests.unit.aws.services import SERVICES

CODES: Mapping[str, Sequence[str]] = json.loads(
    Path(__file__).with_name("codes.json").read_text(encoding="utf-8")
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


def test_an_invalid_request_that_speaks_of_a_limit_is_a_quota() -> None:
    said = "The account-level service limit 'ml.m5.xlarge for endpoint usage' is 0 Instances"
    assert (
        kind_of(refusal("ValidationException", f"{said}: request exceeds limit."))
        is ErrorKind.QUOTA
    )
    assert kind_of(refusal("ResourceLimitExceeded", said)) is ErrorKind.QUOTA


def told(
    code: str, message: str = "", operation: str = "DescribeStacks", **context: Any
) -> CallError:
    with pytest.raises(CallError) as caught, translated("Doing it", **context):
        raise refusal(code, message, operation)
    return caught.value


def test_an_expired_token_says_how_to_sign_in_with_the_profile_in_use() -> None:
    error = told("ExpiredToken", "The security token is expired", profile="work")
    assert error.kind is ErrorKind.EXPIRED
    assert "aws sso login --profile work" in error.remedy


def test_a_denial_names_the_action_that_aws_names() -> None:
    who = "arn:aws:sts::123456789012:assumed-role/dev/me"
    text = f"User: {who} is not authorized to perform: ecr:CreateRepository on resource: *"
    error = told("AccessDeniedException", text)
    assert "Allow ecr:CreateRepository" in error.remedy
    assert "docs/aws-policy.json" in error.remedy
    assert "123456789012" not in str(error)


def test_a_denial_of_what_no_push_calls_does_not_send_to_the_labs_policy() -> None:
    text = "User: someone is not authorized to perform: sts:AssumeRole on resource: role/x"
    error = told("AccessDenied", text, "AssumeRole")
    assert error.remedy == "Allow sts:AssumeRole to who asks."


def test_a_denial_of_s3_which_names_nothing_is_given_the_action_of_its_operation() -> None:
    error = told("AccessDenied", "Access Denied", "UploadPart", service="s3")
    assert "Allow s3:PutObject" in error.remedy


def test_the_request_that_was_signed_wrongly_is_not_quoted() -> None:
    text = "The Canonical String should have been 'x-amz-security-token:FwoGZXIvYXdz'"
    error = told("SignatureDoesNotMatch", text)
    assert error.kind is ErrorKind.REJECTED
    assert "FwoGZXIvYXdz" not in str(error)


def test_no_account_key_or_token_is_in_any_exception_or_its_traceback() -> None:
    secrets = ("123456789012", "AKIAIOSFODNN7EXAMPLE", "FwoGZXIvYXdz")
    text = (
        "arn:aws:iam::123456789012:user/me key AKIAIOSFODNN7EXAMPLE "
        "X-Amz-Security-Token=FwoGZXIvYXdz&x=1 123456789012.dkr.ecr.eu-central-1.amazonaws.com"
    )
    error = told("ValidationException", text)
    shown = "".join(traceback.format_exception(error))
    for secret in secrets:
        assert secret not in str(error)
        assert secret not in shown
    assert HIDDEN in str(error)


def test_digests_are_no_account_ids() -> None:
    digest = "sha256:" + "a123456789012b" * 4
    assert redacted(digest) == digest
    assert redacted("inference-lab-x-123456789012-eu-central-1") == (
        f"inference-lab-x-{HIDDEN}-eu-central-1"
    )


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("RequestTimeTooSkewed", "The difference is too large."),
        ("SignatureDoesNotMatch", "Signature expired: 20261121T000000Z is now earlier than ..."),
        ("InvalidSignatureException", "Signature not yet current: 20261121T000000Z is still ..."),
    ],
)
def test_a_wrong_clock_is_told_from_wrong_keys(code: str, message: str) -> None:
    error = told(code, message)
    assert error.kind is ErrorKind.CLOCK
    assert "clock" in error.remedy


def test_an_error_of_the_labs_own_goes_through_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError), translated("Doing it"):
        _ = 1 // 0


def test_no_credentials_are_told_before_anything_is_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    with pytest.raises(CallError) as caught:
        open_session()
    assert caught.value.kind is ErrorKind.CREDENTIALS
    assert world.faults.calls == []


def test_half_a_key_is_told_as_no_credentials(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(CallError) as caught:
        open_session()
    assert caught.value.kind is ErrorKind.CREDENTIALS


def test_a_profile_that_does_not_exist_is_told_by_its_name(world: World) -> None:
    with pytest.raises(CallError, match="nobody") as caught:
        open_session(profile="nobody")
    assert caught.value.kind is ErrorKind.CREDENTIALS


def test_no_region_is_told_before_anything_is_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(CallError) as caught:
        open_session()
    assert caught.value.kind is ErrorKind.REGION
    assert "--region" in caught.value.remedy


def test_an_sso_sign_in_that_ended_says_how_to_renew_it(world: World) -> None:
    error = refused.UnauthorizedSSOTokenError()
    with pytest.raises(CallError) as caught, translated("Doing it", profile="work"):
        raise error
    assert caught.value.kind is ErrorKind.EXPIRED
    assert "aws sso login --profile work" in caught.value.remedy
