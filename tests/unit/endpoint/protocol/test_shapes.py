from typing import Any

import pytest

from lab.endpoint.protocol.errors import ApiError
from lab.endpoint.protocol.javaregex import matcher
from lab.endpoint.protocol.shapes import validate

VARIANT = {"VariantName": "v"}


def refusal(operation: str, params: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        validate(operation, params)
    assert caught.value.status == 400
    return caught.value


def test_members_that_the_model_does_not_know_and_nulls_are_dropped() -> None:
    asked = {"ModelName": "m", "New": 1, "Tags": None, "PrimaryContainer": {"Image": "i", "X": {}}}
    assert validate("CreateModel", asked) == {
        "ModelName": "m",
        "PrimaryContainer": {"Image": "i"},
    }


@pytest.mark.parametrize(
    ("operation", "asked", "said"),
    [
        (
            "DescribeEndpoint",
            {},
            (
                "1 validation error detected: Value null at 'endpointName' failed to satisfy "
                "constraint: Member must not be null"
            ),
        ),
        (
            "DescribeEndpoint",
            {"EndpointName": "a_b"},
            (
                "1 validation error detected: Value 'a_b' at 'endpointName' failed to satisfy "
                "constraint: Member must satisfy regular expression pattern: "
                "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
            ),
        ),
        (
            "DescribeModel",
            {"ModelName": "_" * 64},
            (
                f"2 validation errors detected: Value '{'_' * 64}' at 'modelName' failed to "
                "satisfy "
                "constraint: Member must have length less than or equal to 63; "
                f"Value '{'_' * 64}' at 'modelName' failed to satisfy constraint: Member must "
                "satisfy regular expression pattern: [a-zA-Z0-9]([\\-a-zA-Z0-9]*[a-zA-Z0-9])?"
            ),
        ),
        (
            "ListModels",
            {"MaxResults": 0, "SortOrder": "Up"},
            (
                "2 validation errors detected: Value 'Up' at 'sortOrder' failed to satisfy "
                "constraint: Member must satisfy enum value set: [Ascending, Descending]; Value "
                "'0' "
                "at 'maxResults' failed to satisfy constraint: Member must have value greater than "
                "or equal to 1"
            ),
        ),
        (
            "CreateEndpointConfig",
            {"EndpointConfigName": "c", "ProductionVariants": []},
            (
                "1 validation error detected: Value '[]' at 'productionVariants' failed to satisfy "
                "constraint: Member must have length greater than or equal to 1"
            ),
        ),
        (
            "CreateEndpointConfig",
            {
                "EndpointConfigName": "c",
                "ProductionVariants": [VARIANT, {**VARIANT, "InitialInstanceCount": 0}],
            },
            (
                "1 validation error detected: Value '0' at "
                "'productionVariants.2.member.initialInstanceCount' failed to satisfy constraint: "
                "Member must have value greater than or equal to 1"
            ),
        ),
        (
            "CreateModel",
            {"ModelName": "m", "PrimaryContainer": {"Environment": {"a b": "c"}}},
            (
                "1 validation error detected: Value '{a b=c}' at 'primaryContainer.environment' "
                "failed to satisfy constraint: Map keys must satisfy constraint: [Member must have "
                "length less than or equal to 1024, Member must have length greater than or equal "
                "to 0, Member must satisfy regular expression pattern: [a-zA-Z_][a-zA-Z0-9_]*]"
            ),
        ),
        (
            "CreateModel",
            {"ModelName": "m", "VpcConfig": {"Subnets": ["a b"], "SecurityGroupIds": ["c"]}},
            (
                "1 validation error detected: Value '[a b]' at 'vpcConfig.subnets' failed to "
                "satisfy "
                "constraint: Member must satisfy constraint: [Member must have length less than or "
                "equal to 32, Member must have length greater than or equal to 0, Member must "
                "satisfy regular expression pattern: [-0-9a-zA-Z]+]"
            ),
        ),
        (
            "DeleteTags",
            {"ResourceArn": "arn:aws:sagemaker:r:123456789012:x", "TagKeys": [None]},
            (
                "1 validation error detected: Value null at 'tagKeys.1.member' failed to satisfy "
                "constraint: Member must not be null"
            ),
        ),
    ],
)
def test_each_constraint_is_worded_as_aws_words_it(
    operation: str, asked: dict[str, Any], said: str
) -> None:
    error = refusal(operation, asked)
    assert (error.code, error.message) == ("ValidationException", said)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], "Start of list found where not expected"),
        ("x", "Unexpected field type"),
        ({"ModelName": 1}, "NUMBER_VALUE can not be converted to a String"),
        ({"ModelName": True}, "TRUE_VALUE can not be converted to a String"),
        ({"ModelName": {}}, "Start of structure or map found where not expected."),
        ({"ModelName": []}, "Start of list found where not expected"),
        ({"PrimaryContainer": "x"}, "Unexpected field type"),
        ({"Containers": {}}, "Start of structure or map found where not expected."),
        ({"EnableNetworkIsolation": "yes"}, "STRING_VALUE can not be converted to a Boolean"),
    ],
)
def test_a_wrong_type_is_a_serialization_exception(asked: Any, said: str) -> None:
    error = refusal("CreateModel", asked)
    assert (error.code, error.message) == ("SerializationException", said)


@pytest.mark.parametrize(
    "asked",
    [
        {"MaxResults": "1"},
        {"MaxResults": True},
        {"MaxResults": float("nan")},
        {"MaxResults": float("inf")},
        {"MaxResults": 10**5000},
        {"CreationTimeAfter": "2026-01-01"},
        {"CreationTimeAfter": 1e300},
        {"CreationTimeAfter": float("nan")},
    ],
)
def test_numbers_that_java_would_not_read_are_refused(asked: dict[str, Any]) -> None:
    assert refusal("ListModels", asked).code == "SerializationException"


def test_a_decimal_for_an_integer_is_cut_off() -> None:
    assert validate("ListModels", {"MaxResults": 2.9}) == {"MaxResults": 2}


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        (r"\p{ASCII}*", "abc\x7f", True),
        (r"\p{ASCII}*", "é", False),
        (r"\A\S[\p{Print}]*\z", "a b", True),
        (r"\A\S[\p{Print}]*\z", "a b\n", False),
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "Größe 1 日本", True),
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "#", False),
        (r"\d+", "٣", False),
        (r".*", "a\u2028b", False),
        (r"[a[]+", "a[", True),
        (r"^a$", "a\n", False),
    ],
)
def test_javas_patterns_mean_here_what_they_mean_there(
    pattern: str,
    value: str,
    matches: bool,  # noqa: FBT001
) -> None:
    found = matcher(pattern)
    assert found is not None
    assert found(value) is matches


def test_a_pattern_without_a_translation_restricts_nothing() -> None:
    assert matcher(r"[\uD800\uDC00-\uDBFF\uDFFF]*") is None
