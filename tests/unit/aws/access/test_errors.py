import traceback
from typing import Any

import pytest
from botocore import exceptions as refused
from botocore.exceptions import ClientError

from lab.aws.access.errors import HIDDEN, CallError, redacted, translated
from lab.aws.access.session import open_session
from lab.awserrors import ErrorKind
from tests.cloud.world import World


def refusal(code: str, message: str = "", operation: str = "DescribeStacks") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


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
