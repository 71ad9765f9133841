"""What a recording keeps, and what it never does."""

import json

from lab.aws.recorder.pairs import kept_body, kept_headers

_MODEL = json.dumps(
    {
        "ModelName": "eye",
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/any",
        "PrimaryContainer": {
            "Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/eye:3",
            "Environment": {"DATABASE": "postgres://eye:geheim@db", "WORKERS": "2"},
        },
    }
).encode()


def test_what_is_asked_of_the_control_plane_is_kept_without_accounts_and_environments() -> None:
    kept = kept_body(_MODEL, members=True, payloads=True)
    assert kept.members == {
        "ModelName": "eye",
        "ExecutionRoleArn": "arn:aws:iam::000000000000:role/any",
        "PrimaryContainer": {
            "Image": "000000000000.dkr.ecr.us-east-1.amazonaws.com/eye:3",
            "Environment": {
                "DATABASE": "<hidden: 24 characters>",
                "WORKERS": "<hidden: 1 characters>",
            },
        },
    }
    assert "geheim" not in kept.model_dump_json()


def test_of_a_payload_size_and_sum_are_kept_and_itself_only_where_asked_for() -> None:
    kept = kept_body(b"a patient", members=False, payloads=False)
    assert (kept.size, kept.content, kept.members) == (9, None, None)
    assert kept.sha256.startswith("2610a40c")
    assert kept_body(b"a patient", members=False, payloads=True).content == "YSBwYXRpZW50"


def test_the_words_of_a_model_in_an_error_are_a_payload_too() -> None:
    said = 'Received server error (500) from primary with message "patient 7". See https://x for'
    body = json.dumps({"Message": said, "OriginalMessage": "patient 7"}).encode()
    kept = kept_body(body, members=True, payloads=False).model_dump_json()
    assert "patient" not in kept
    assert "Received server error (500) from primary with message" in kept


def test_headers_that_give_something_away_are_left_out() -> None:
    sent = [
        ("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE"),
        ("X-Amz-Security-Token", "FwoG"),
        ("X-Amzn-SageMaker-Custom-Attributes", "token=geheim"),
        ("Content-Type", "text/csv"),
    ]
    assert kept_headers(sent, payloads=False) == [
        ("X-Amzn-SageMaker-Custom-Attributes", "<hidden: 12 characters>"),
        ("Content-Type", "text/csv"),
    ]
