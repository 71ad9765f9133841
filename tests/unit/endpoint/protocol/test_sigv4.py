import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from lab.endpoint.protocol.errors import ApiError
from lab.endpoint.protocol.sigv4 import Signed, Verifier, parse
from tests.fidelity import DOCUMENTED, OURS, fidelity

KEYS = {"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
PATH = "/endpoints/eye/invocations"
BODY = b"a body"


def signed(
    *,
    key: tuple[str, str] = ("AKIDEXAMPLE", KEYS["AKIDEXAMPLE"]),
    region: str = "us-east-1",
    service: str = "sagemaker",
    path: str = PATH,
    query: str = "",
    body: bytes = BODY,
    headers: dict[str, str] | None = None,
) -> Signed:
    """A request as botocore itself signs it."""
    url = f"http://127.0.0.1:8800{path}" + (f"?{query}" if query else "")
    request = AWSRequest("POST", url, headers=headers or {}, data=body)
    SigV4Auth(Credentials(*key), service, region).add_auth(request)
    sent = {name.lower(): value for name, value in request.headers.items()}
    return Signed(
        method="POST",
        path=path,
        query=query,
        headers={"host": "127.0.0.1:8800", **sent},
        body=body,
    )


def changed(request: Signed, **changes: object) -> Signed:
    members = ("method", "path", "query", "headers", "body")
    return Signed(**{name: changes.get(name, getattr(request, name)) for name in members})  # type: ignore[arg-type]


def verifier(*, refused_status: int = 403) -> Verifier:
    return Verifier(KEYS, region="us-east-1", refused_status=refused_status)


def refusal(request: Signed, *, by: Verifier | None = None, now: float | None = None) -> ApiError:
    with pytest.raises(ApiError) as refused:
        (by or verifier()).admit(request, now=time.time() if now is None else now)
    return refused.value


def test_botocores_own_signature_is_admitted() -> None:
    verifier().admit(signed(), now=time.time())


@given(
    path=st.text(st.characters(codec="ascii", categories=("L", "N")), max_size=20),
    body=st.binary(max_size=50),
    value=st.text(st.sampled_from("ab  ,;=~"), min_size=1).map(str.strip),
)
def test_whatever_botocore_signs_is_admitted(path: str, body: bytes, value: str) -> None:
    request = signed(
        path=f"/endpoints/{path}%20/invocations",
        body=body,
        query="b=2&a=1%2F&c",
        headers={"X-Amzn-SageMaker-Custom-Attributes": value},
    )
    verifier().admit(request, now=time.time())


def test_a_body_signed_by_its_header_is_admitted_and_compared() -> None:
    digest = hashlib.sha256(BODY).hexdigest()
    request = signed(headers={"X-Amz-Content-SHA256": digest})
    verifier().admit(request, now=time.time())
    assert refusal(changed(request, body=b"another")).code == "InvalidSignatureException"


def test_an_unsigned_payload_is_admitted_as_the_signer_says_so() -> None:
    request = signed(headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    verifier().admit(changed(request, body=b"another"), now=time.time())


@pytest.mark.parametrize(
    "change",
    [
        lambda request: changed(request, body=b"another"),
        lambda request: changed(request, path="/endpoints/other/invocations"),
        lambda request: changed(request, method="PUT"),
        lambda request: changed(request, query="x=1"),
        lambda request: changed(request, headers={**request.headers, "host": "elsewhere"}),
    ],
)
def test_what_was_changed_after_signing_is_refused(change: Callable[[Signed], Signed]) -> None:
    error = refusal(change(signed()))
    assert error.code == "InvalidSignatureException"
    assert error.status == 403
    assert "does not match the signature you provided" in str(error)


@fidelity(
    "Limits",
    "With LAB_ACCESS_KEY_ID set, signatures are verified as AWS does; without, any is admitted.",
    OURS,
    "the lab is on loopback, and a plain curl is to work",
)
def test_another_secret_is_refused() -> None:
    assert refusal(signed(key=("AKIDEXAMPLE", "wrong"))).code == "InvalidSignatureException"


def test_an_unknown_key_is_refused_by_name() -> None:
    assert refusal(signed(key=("OTHER", "x"))).code == "UnrecognizedClientException"


def test_another_region_or_service_is_refused() -> None:
    assert "region, not 'eu-west-1'" in str(refusal(signed(region="eu-west-1")))
    assert "correct service: 'sagemaker'" in str(refusal(signed(service="s3")))


@fidelity(
    "Limits",
    "A signature is good for five minutes before and after.",
    DOCUMENTED,
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html",
)
def test_an_old_signature_has_expired_and_one_of_the_future_is_not_yet_current() -> None:
    now = time.time()
    assert "Signature expired" in str(refusal(signed(), now=now + 400))
    assert "Signature not yet current" in str(refusal(signed(), now=now - 400))
    verifier().admit(signed(), now=now + 200)


def test_a_scope_of_another_day_is_refused() -> None:
    request = signed()
    today = datetime.now(UTC).strftime("%Y%m%d")
    headers = dict(request.headers)
    headers["authorization"] = headers["authorization"].replace(f"/{today}/", "/20200101/")
    assert "Date in Credential scope" in str(refusal(changed(request, headers=headers)))


def test_a_request_without_signature_needs_a_lab_without_keys() -> None:
    bare = Signed(method="POST", path=PATH, query="", headers={"host": "x"}, body=b"")
    Verifier({}, region="us-east-1").admit(bare, now=0)
    assert refusal(bare).code == "MissingAuthenticationTokenException"
    assert refusal(bare, by=verifier(refused_status=400)).status == 400


def test_a_signature_that_cannot_be_checked_is_admitted_when_no_key_is_configured() -> None:
    Verifier({}, region="us-east-1").admit(signed(key=("OTHER", "x")), now=0)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer token",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request",
        "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=x",
        "AWS4-HMAC-SHA256 Credential=a/20200101/r/sagemaker/other, SignedHeaders=h, Signature=x",
        "AWS4-HMAC-SHA256 ,,,===",
    ],
)
def test_a_malformed_header_is_refused_with_or_without_keys(header: str) -> None:
    bare = Signed(method="POST", path=PATH, query="", headers={"authorization": header}, body=b"")
    for one in (Verifier({}, region="us-east-1"), verifier()):
        error = refusal(bare, by=one)
        assert error.code == "IncompleteSignatureException"
        assert error.status == 400


def test_a_missing_or_strange_date_is_refused() -> None:
    request = signed()
    for date in ("", "yesterday", "20201399T999999Z"):
        headers = {**request.headers, "x-amz-date": date}
        assert refusal(changed(request, headers=headers)).code == "IncompleteSignatureException"


@given(st.text())
def test_nothing_in_the_header_makes_the_parser_fall_over(text: str) -> None:
    for header in (text, f"AWS4-HMAC-SHA256 {text}"):
        try:
            parse(header)
        except ApiError as error:
            assert error.code == "IncompleteSignatureException"  # noqa: PT017
