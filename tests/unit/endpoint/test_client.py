import time
from collections.abc import Mapping

import pytest
from botocore.exceptions import ClientError

from lab.endpoint import client
from lab.endpoint.addresses import Addresses
from lab.endpoint.client import EmulatorClient
from lab.endpoint.protocol.errors import ApiError
from lab.endpoint.protocol.sigv4 import SKEW_S, Signed, Verifier
from lab.errors import EndpointError, UsageError

KEYS = {"LAB_ACCESS_KEY_ID": "me", "LAB_SECRET_ACCESS_KEY": "secret"}


def signed_by(env: Mapping[str, str], url: str = "http://127.0.0.1:8800") -> Signed:
    """As it would be read off the wire."""
    asked = EmulatorClient(Addresses(sagemaker=url, s3=""), env=env)
    _, whole = asked.signed("eye", b"body", {"Content-Type": "text/plain"})
    head, _, body = whole.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    method, path, _ = first.split(" ")
    return Signed(
        method=method,
        path=path,
        query="",
        headers={name.lower(): value for name, value in headers.items()},
        body=body,
    )


def test_what_the_emulator_refuses_keeps_its_code_and_the_model_s_status() -> None:
    answer = {
        "Error": {"Code": "ModelError", "Message": "Received client error (415)"},
        "OriginalStatusCode": 415,
        "OriginalMessage": "no picture",
    }
    with pytest.raises(EndpointError) as caught, client._translated("invoke_endpoint"):
        raise ClientError(answer, "InvokeEndpoint")
    assert (caught.value.code, caught.value.model_status) == ("ModelError", 415)
    assert caught.value.what.endswith("ModelError: Received client error (415)\nno picture")


def test_a_request_over_the_wire_is_signed_with_the_emulator_s_own_key() -> None:
    request = signed_by(KEYS)
    assert request.path == "/endpoints/eye/invocations"
    Verifier({"me": "secret"}, region="us-east-1").admit(request, now=time.time())
    with pytest.raises(ApiError, match="does not match"):
        Verifier({"me": "other"}, region="us-east-1").admit(request, now=time.time())


def test_a_signature_is_refused_once_it_is_as_old_as_aws_allows() -> None:
    verifier = Verifier({"me": "secret"}, region="us-east-1")
    with pytest.raises(ApiError, match="Signature expired"):
        verifier.admit(signed_by(KEYS), now=time.time() + SKEW_S + 2)


def test_an_emulator_behind_tls_is_not_reached_over_the_wire() -> None:
    with pytest.raises(UsageError, match="plain HTTP"):
        signed_by(KEYS, "https://emulator.example")
