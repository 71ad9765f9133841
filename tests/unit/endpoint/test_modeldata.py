from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from lab.endpoint.modeldata import LayoutError, data_problem, laid_out
from lab.endpoint.s3 import S3Location
from tests.fidelity import ABSENT, DOCUMENTED, OURS, fidelity


def problem(uri: str, kind: str, compression: str, **more: Any) -> str | None:
    return data_problem({"S3Uri": uri, "S3DataType": kind, "CompressionType": compression, **more})


@pytest.mark.parametrize(
    ("uri", "kind", "compression"),
    [
        ("s3://b/m.tar.gz", "S3Object", "Gzip"),
        ("s3://b/deep/model.onnx", "S3Object", "None"),
        ("https://b.s3.amazonaws.com/deep/model.onnx", "S3Object", "None"),
        ("s3://b/m/", "S3Prefix", "None"),
        ("s3://b/", "S3Prefix", "None"),
    ],
)
def test_what_sagemaker_takes_is_taken(uri: str, kind: str, compression: str) -> None:
    assert problem(uri, kind, compression) is None
    assert problem(uri, kind, compression, ModelAccessConfig={"AcceptEula": True}) is None


@fidelity(
    "CreateModel",
    "S3Prefix with Gzip is refused: an archive is an S3Object.",
    DOCUMENTED,
    "botocore: S3ModelDataSource.CompressionType names the three that go together",
)
def test_an_archive_is_no_prefix() -> None:
    assert problem("s3://b/m/", "S3Prefix", "Gzip") == (
        "The lab refuses S3DataType S3Prefix with CompressionType Gzip, as SageMaker does: an "
        "archive is an S3Object, and what lies below an S3Prefix goes with None."
    )


@fidelity(
    "CreateModel",
    "The S3Uri of an S3Prefix ends with a slash, else it is refused.",
    DOCUMENTED,
    "botocore: S3ModelDataSource.S3DataType",
)
@pytest.mark.parametrize("uri", ["s3://b/m", "s3://b"])
def test_a_prefix_ends_with_a_slash(uri: str) -> None:
    assert f"Write {uri}/." in str(problem(uri, "S3Prefix", "None"))


@fidelity(
    "CreateModel",
    "An S3Object with None whose key gives no file name is refused.",
    DOCUMENTED,
    "botocore: S3ModelDataSource.CompressionType lists the names that no file may have",
)
@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://b/m/", "is blank"),
        ("s3://b", "is blank"),
        ("s3://b/ ", "is blank"),
        ("s3://b/m/..", "is '..'"),
        ("s3://b/.", "is '.'"),
        (f"s3://b/{'x' * 256}", "256 bytes"),
    ],
)
def test_one_object_needs_a_name(uri: str, said: str) -> None:
    assert said in str(problem(uri, "S3Object", "None"))


@fidelity(
    "CreateModel",
    "ManifestS3Uri, HubAccessConfig and the ETag of an S3Prefix are refused as not emulated.",
    ABSENT,
    "They belong to JumpStart's hubs, which the lab has not.",
)
@pytest.mark.parametrize(
    "more",
    [
        {"ManifestS3Uri": "s3://b/manifest"},
        {"ManifestEtag": "x"},
        {"HubAccessConfig": {"HubContentArn": "arn"}},
        {"ETag": "x"},
    ],
)
def test_what_is_not_emulated_is_said(more: dict[str, Any]) -> None:
    said = str(problem("s3://b/m/", "S3Prefix", "None", **more))
    assert next(iter(more)) in said
    assert said.endswith("The lab does not emulate this; on SageMaker it may work.")


def laid(*keys: str) -> dict[str, str]:
    found = laid_out(S3Location(bucket="b", key="m/"), [f"m/{key}" for key in keys])
    return {key: str(path) for key, path in found.items()}


def test_what_is_left_of_a_key_is_the_path() -> None:
    assert laid("a", "b/c:0", "b/ c") == {"m/a": "a", "m/b/c:0": "b/c:0", "m/b/ c": "b/ c"}


@fidelity(
    "Model data",
    "A folder key, as the S3 console makes them, fails the deployment; the lab says how to "
    "delete it.",
    DOCUMENTED,
    "botocore: S3ModelDataSource.CompressionType",
)
@pytest.mark.parametrize("key", ["", "a/", "a/b/"])
def test_a_folder_key_is_refused_with_what_deletes_it(key: str) -> None:
    with pytest.raises(LayoutError) as caught:
        laid("good", key)
    assert f"the key 'm/{key}' ends with a slash" in caught.value.what
    assert f"aws s3api delete-object --bucket b --key m/{key}`" in caught.value.remedy


@fidelity(
    "Model data",
    "A part of a key below an S3Prefix that is blank, a dot, two dots or longer than 255 bytes "
    "fails the deployment.",
    DOCUMENTED,
    "botocore: S3ModelDataSource.CompressionType",
)
@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("a//b", "is blank"),
        ("/a", "is blank"),
        ("a/ /b", "is blank"),
        ("a/./b", "is '.'"),
        ("../out", "is '..'"),
        ("a/..", "is '..'"),
        ("a/" + "ü" * 128, "is 256 bytes long; 255 is the most"),
        ("nul\0", "null byte"),
    ],
)
def test_a_key_with_a_part_that_no_file_can_have_is_refused(key: str, said: str) -> None:
    with pytest.raises(LayoutError) as caught:
        laid("good", key)
    assert said in caught.value.what


@fidelity(
    "Model data",
    "Two objects of which one would be a file and the other is below a folder of that name fail "
    "the deployment.",
    DOCUMENTED,
    "botocore: S3ModelDataSource.CompressionType",
)
@pytest.mark.parametrize("keys", [("weights", "weights/part1"), ("a/b/c", "a"), ("a/b", "a/b/c/d")])
def test_keys_that_clash_are_refused(keys: tuple[str, ...]) -> None:
    with pytest.raises(LayoutError, match=r"would be a file and, by the key .*, a folder"):
        laid(*keys)


@fidelity(
    "Model data",
    "Keys that differ in case alone, or in the form of their Unicode, are different files.",
    OURS,
    "So they are in S3 and on Linux.",
)
def test_keys_that_differ_in_case_alone_are_two_files() -> None:
    assert len(laid("Model", "model", "é", "e\u0301")) == 4


@given(some.lists(some.text("ab/. \0ü", min_size=0, max_size=8), unique=True, max_size=6))
def test_each_key_becomes_a_file_of_its_own_in_the_folder_or_none_does(keys: list[str]) -> None:
    found: dict[str, str] = {}
    with suppress(LayoutError):
        found = laid(*keys)
    paths = set(found.values())
    assert len(paths) == len(found)
    assert not any(path.startswith(("/", "../")) or "/../" in path for path in paths)
    assert not any(one != two and two.startswith(f"{one}/") for one in paths for two in paths)
