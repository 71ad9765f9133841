"""The archive's way to S3, over a network that breaks."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.aws.access.errors import CallError
from lab.aws.access.session import AwsSession, open_session
from lab.aws.model import AwsError
from lab.aws.push.upload import PART_BYTES, checksums, find, key_of, upload
from lab.awserrors import ErrorKind
from lab.errors import ArchiveError
from lab.progress import Silent
from tests.cloud.world import World

BUCKET = "inference-lab-test-bucket"


@pytest.fixture(name="aws")
def _aws(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsSession]:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    world.client("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": world.region}
    )
    with open_session() as session:
        yield session


@pytest.fixture(name="small")
def _small(tmp_path: Path) -> Path:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(b"weights" * 1000)
    return path


@pytest.fixture(name="large")
def _large(tmp_path: Path) -> Path:
    path = tmp_path / "large.tar.gz"
    path.write_bytes(os.urandom(1 << 20) * 17)
    assert path.stat().st_size > PART_BYTES
    return path


def sent(aws: AwsSession, path: Path) -> bool:
    return upload(aws, path, bucket=BUCKET, sha256=sha256(path), progress=Silent()).sent


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def in_parts(world: World) -> list[str]:
    listed = world.client("s3").list_multipart_uploads(Bucket=BUCKET)
    return [one["UploadId"] for one in listed.get("Uploads", [])]


@pytest.mark.parametrize("size", ["small", "large"])
def test_an_archive_arrives_whole_encrypted_and_under_its_own_sum(
    world: World, aws: AwsSession, size: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(size)
    done = upload(aws, path, bucket=BUCKET, sha256=sha256(path), progress=Silent())
    assert done.sent
    assert done.url == f"s3://{BUCKET}/models/{sha256(path)}/model.tar.gz"
    there = world.client("s3").get_object(Bucket=BUCKET, Key=key_of(sha256(path)))
    assert there["Body"].read() == path.read_bytes()
    assert there["ServerSideEncryption"] == "AES256"
    assert ("s3:CreateMultipartUpload" in world.faults.names) == (size == "large")


@pytest.mark.parametrize("size", ["small", "large"])
def test_what_is_there_is_not_sent_again(
    world: World, aws: AwsSession, size: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(size)
    assert sent(aws, path)
    before = len(world.faults.calls)
    assert not sent(aws, path)
    assert world.faults.names[before:] == ["s3:HeadObject"]


def test_looking_only_reads(world: World, aws: AwsSession, small: Path) -> None:
    aws.read_only = True
    assert find(aws, small, bucket=BUCKET, sha256=sha256(small)) is None
    assert find(aws, small, bucket="inference-lab-not-made", sha256=sha256(small)) is None
    assert world.faults.names == ["s3:HeadObject", "s3:HeadObject"]


def test_other_content_under_the_same_key_is_replaced(
    world: World, aws: AwsSession, small: Path
) -> None:
    key = key_of(sha256(small))
    world.client("s3").put_object(Bucket=BUCKET, Key=key, Body=bytes(small.stat().st_size))
    assert sent(aws, small)
    there = world.client("s3").get_object(Bucket=BUCKET, Key=key)
    assert there["Body"].read() == small.read_bytes()


def test_a_network_cut_in_the_middle_is_told_and_leaves_no_parts(
    world: World, aws: AwsSession, large: Path
) -> None:
    world.faults.cut("s3:UploadPart", after_bytes=1000, times=100)
    with pytest.raises(CallError, match=r"upload large\.tar\.gz") as caught:
        sent(aws, large)
    assert caught.value.kind is ErrorKind.CONNECTION
    assert "again" in caught.value.remedy
    assert in_parts(world) == []


def test_after_a_cut_the_next_run_sends_it(world: World, aws: AwsSession, large: Path) -> None:
    world.faults.cut("s3:UploadPart", after_bytes=1000, times=1)
    with pytest.raises(CallError):
        sent(aws, large)
    assert sent(aws, large)
    assert find(aws, large, bucket=BUCKET, sha256=sha256(large)) is not None


def test_parts_that_could_not_be_taken_away_are_by_the_next_run(
    world: World, aws: AwsSession, large: Path
) -> None:
    world.faults.cut("s3:UploadPart", after_bytes=1000, times=1)
    world.faults.refuse("s3:AbortMultipartUpload", "InternalError", "down", status=500, times=2)
    with pytest.raises(CallError):
        sent(aws, large)
    assert len(in_parts(world)) == 1
    assert sent(aws, large)
    assert in_parts(world) == []


def test_a_file_that_is_not_the_archive_is_not_sent(
    world: World, aws: AwsSession, small: Path
) -> None:
    with pytest.raises(ArchiveError, match="not the archive"):
        upload(aws, small, bucket=BUCKET, sha256="0" * 64, progress=Silent())
    assert world.faults.writes == []


def test_what_arrived_otherwise_is_told(world: World, aws: AwsSession, small: Path) -> None:
    key = key_of(sha256(small))
    spoil = world.client("s3")
    world.faults.after(
        "s3:PutObject", lambda: spoil.put_object(Bucket=BUCKET, Key=key, Body=b"spoilt")
    )
    with pytest.raises(AwsError, match="What S3 holds is not"):
        sent(aws, small)


def test_denied_permission_names_the_action_and_no_secret(
    world: World, aws: AwsSession, small: Path
) -> None:
    world.faults.deny("s3:PutObject")
    with pytest.raises(CallError) as caught:
        sent(aws, small)
    assert caught.value.kind is ErrorKind.DENIED
    assert "s3:PutObject" in str(caught.value)
    assert not any(secret in str(caught.value) for secret in world.secrets)


def test_sums_are_those_of_amazon_s_documentation(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    assert checksums(path) == (
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "d41d8cd98f00b204e9800998ecf8427e",
    )
    path.write_bytes(b"ab" * 3)
    sha, etag = checksums(path, part_bytes=4)
    assert sha.endswith("-2")
    assert etag.endswith("-2")


def test_ctrl_c_in_the_middle_leaves_no_parts(world: World, aws: AwsSession, large: Path) -> None:
    world.faults.before("s3:UploadPart", world.interrupt)
    with pytest.raises(KeyboardInterrupt):
        sent(aws, large)
    assert in_parts(world) == []
    # The last part may have been quicker than the interrupt.
    sent(aws, large)
    assert find(aws, large, bucket=BUCKET, sha256=sha256(large)) is not None
