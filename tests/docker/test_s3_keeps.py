"""The S3 of `make up` keeps what it was given, whenever and however it ends."""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import httpx
import pytest
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError

from lab.engine.docker.engine import DockerEngine
from lab.paths import ROOT
from lab.services import SERVICES
from tests.fidelity import OURS, fidelity
from tests.ports import free_port
from tests.timing import PATIENCE_S, wait_until

MB = 1 << 20
PART = os.urandom(MB)
BUCKET = "models"
_PORT = 5000


class S3:
    """Its container, set as `compose.yaml` sets it, and boto3."""

    def __init__(self, engine: DockerEngine, image: str) -> None:
        self._engine = engine.client
        self.name = f"inference-lab-test-s3-{secrets.token_hex(4)}"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["s3"]
        (volume,) = service["volumes"]
        folder = volume.partition(":")[2]
        self._engine.create_container(
            image,
            command=service["command"],
            name=self.name,
            user=service["user"],
            volumes=[folder],
            ports=[_PORT],
            host_config=self._engine.create_host_config(
                binds={self.name: {"bind": folder, "mode": "rw"}},
                port_bindings={_PORT: ("127.0.0.1", self.port)},
                read_only=service["read_only"],
                tmpfs={"/tmp": "mode=1777,size=64m"},
                mem_limit=service["mem_limit"],
            ),
        )
        self.start()

    def start(self) -> None:
        self._engine.start(self.name)
        wait_until(self._ready, otherwise=lambda: self._engine.logs(self.name, tail=20))

    def start_again(self) -> None:
        """Until it knows its volumes: what is written before that waits for it."""
        self.start()
        self.client().put_object(Bucket=BUCKET, Key="awake", Body=b"x")

    def kill(self) -> None:
        self._engine.kill(self.name)
        self._engine.wait(self.name)

    def stop(self) -> None:
        self._engine.stop(self.name)

    def remove(self) -> None:
        self._engine.remove_container(self.name, force=True)
        self._engine.remove_volume(self.name)

    def client(self, key: str = "any") -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key="thing",
            config=Config(proxies={}, retries={"total_max_attempts": 4}),
        )

    def cut_off(self, method: str, **parameters: Any) -> None:
        """Upload 64 MB and kill the server when half of it is on its way."""
        url = self.client().generate_presigned_url(method, {"Bucket": BUCKET, **parameters})

        def body() -> Iterator[bytes]:
            for number in range(64):
                if number == 32:
                    self.kill()
                yield PART

        with pytest.raises(httpx.TransportError):
            httpx.put(url, content=body(), headers={"Content-Length": str(64 * MB)}, timeout=60)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}{SERVICES['s3'].ready}", timeout=5).is_success
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def s3(engine: DockerEngine, built: Callable[[str], str]) -> Iterator[S3]:
    one = S3(engine, built("s3"))
    one.client().create_bucket(Bucket=BUCKET)
    yield one
    one.remove()


def keys(client: Any) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return [row["Key"] for page in pages for row in page.get("Contents", ())]


def text(client: Any, key: str) -> bytes:
    return bytes(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())


@fidelity(
    "Other services",
    "The lab's S3 keeps buckets, objects, versions, tags and parts of uploads over a stop and a "
    "kill; an upload that is cut off leaves what was there before.",
    OURS,
    "SeaweedFS on a volume of the lab's: services/s3/README.md",
)
def test_a_kill_in_the_middle_of_an_upload_costs_that_upload_and_nothing_else(s3: S3) -> None:
    client = s3.client()
    before = PART * 20
    client.put_object(Bucket=BUCKET, Key="kept", Body=before, Metadata={"whose": "mine"})
    client.put_object(Bucket=BUCKET, Key="replaced", Body=b"the old one")
    s3.cut_off("put_object", Key="new")
    s3.start_again()
    client = s3.client()
    assert "new" not in keys(client)
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(Bucket=BUCKET, Key="new")
    kept = client.get_object(Bucket=BUCKET, Key="kept")
    assert kept["Metadata"] == {"whose": "mine"}
    assert kept["ETag"] == f'"{hashlib.md5(before, usedforsecurity=False).hexdigest()}"'
    assert kept["Body"].read() == before
    s3.cut_off("put_object", Key="replaced")
    s3.start_again()
    assert text(s3.client(), "replaced") == b"the old one"


def test_an_upload_in_parts_goes_on_after_a_kill_in_one_of_them(s3: S3) -> None:
    client = s3.client()
    upload = client.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    named = {"Key": "parts", "UploadId": upload}
    first = client.upload_part(Bucket=BUCKET, PartNumber=1, Body=PART * 6, **named)["ETag"]
    s3.cut_off("upload_part", PartNumber=2, **named)
    s3.start_again()
    client = s3.client()
    assert "parts" not in keys(client)
    there = client.list_parts(Bucket=BUCKET, **named)["Parts"]
    assert [(part["PartNumber"], part["ETag"]) for part in there] == [(1, first)]
    second = client.upload_part(Bucket=BUCKET, PartNumber=2, Body=b"the end", **named)["ETag"]
    client.complete_multipart_upload(
        Bucket=BUCKET,
        MultipartUpload={
            "Parts": [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]
        },
        **named,
    )
    s3.kill()
    s3.start_again()
    assert text(s3.client(), "parts") == PART * 6 + b"the end"


def test_every_answered_write_is_there_after_a_kill(s3: S3) -> None:
    client = s3.client()
    written = []
    for number in range(100):
        client.put_object(Bucket=BUCKET, Key=f"many/{number}", Body=str(number).encode())
        written.append(number)
    client.delete_object(Bucket=BUCKET, Key="many/0")
    s3.kill()
    s3.start_again()
    client = s3.client()
    assert {key for key in keys(client) if key.startswith("many/")} == {
        f"many/{number}" for number in written[1:]
    }
    assert all(text(client, f"many/{number}") == str(number).encode() for number in written[1:])


def test_versions_and_tags_outlive_a_stop(s3: S3) -> None:
    client = s3.client()
    client.create_bucket(Bucket="versioned")
    client.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    put = [client.put_object(Bucket="versioned", Key="k", Body=body) for body in (b"1", b"2")]
    tags = [{"Key": "team", "Value": "eyes"}]
    client.put_object_tagging(Bucket="versioned", Key="k", Tagging={"TagSet": tags})
    s3.stop()
    s3.start_again()
    client = s3.client()
    bodies = [
        client.get_object(Bucket="versioned", Key="k", VersionId=one["VersionId"])["Body"].read()
        for one in put
    ]
    assert bodies == [b"1", b"2"]
    assert client.get_object_tagging(Bucket="versioned", Key="k")["TagSet"] == tags
    client.delete_object(Bucket="versioned", Key="k")
    s3.kill()
    s3.start_again()
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.client().get_object(Bucket="versioned", Key="k")


def test_what_boto3_and_the_emulator_ask_of_it_is_answered_as_by_s3(s3: S3) -> None:
    client = s3.client(key="another key, which is as good as any")
    client.put_object(Bucket=BUCKET, Key="some/where", Body=b"0123456789")
    etag = client.head_object(Bucket=BUCKET, Key="some/where")["ETag"]
    part = client.get_object(Bucket=BUCKET, Key="some/where", Range="bytes=2-4", IfMatch=etag)
    assert part["Body"].read() == b"234"
    client.copy_object(Bucket=BUCKET, Key="copy", CopySource=f"{BUCKET}/some/where")
    assert text(client, "copy") == b"0123456789"
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.get_object(Bucket=BUCKET, Key="copy", IfMatch='"other"')
    for call in ("put_object", "get_object"):
        body = {"Body": b""} if call == "put_object" else {}
        with pytest.raises(ClientError, match="NoSuchBucket"):
            getattr(client, call)(Bucket="no-such-bucket", Key="k", **body)
    with pytest.raises(ClientError, match="404"):
        client.head_bucket(Bucket="no-such-bucket")


@pytest.mark.parametrize(
    "key", ["with space+plus%25", "co:lon", "\u00fcml\u00e4ut/\u4e2d", "folder/", "n" * 255]
)
def test_a_key_is_listed_as_it_was_written(s3: S3, key: str) -> None:
    client = s3.client()
    client.put_object(Bucket=BUCKET, Key=key, Body=b"")
    assert key in keys(client)


def test_a_file_and_a_folder_may_have_the_same_name(s3: S3) -> None:
    client = s3.client()
    client.put_object(Bucket=BUCKET, Key="clash", Body=b"file")
    client.put_object(Bucket=BUCKET, Key="clash/below", Body=b"below")
    assert text(client, "clash") == b"file"
    assert text(client, "clash/below") == b"below"


def test_an_object_as_large_as_its_memory_passes_through(s3: S3) -> None:
    """The largest asynchronous input, 1 GB."""
    url = s3.client().generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": "large"})
    parts = 1024
    answer = httpx.put(
        url,
        content=(PART for _ in range(parts)),
        headers={"Content-Length": str(parts * MB)},
        timeout=PATIENCE_S,
    )
    assert answer.is_success, answer.text
    body = s3.client().get_object(Bucket=BUCKET, Key="large")["Body"]
    assert sum(len(part) for part in body.iter_chunks(MB)) == parts * MB
