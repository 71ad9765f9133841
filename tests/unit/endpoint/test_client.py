import pytest
from botocore.exceptions import ClientError

from lab.endpoint import client
from lab.errors import EndpointError


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
