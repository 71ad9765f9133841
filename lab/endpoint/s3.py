"""S3 through boto3: the only location in the emulator that knows it."""

import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import botocore.session
from botocore import exceptions as refused
from botocore.config import Config

from lab.endpoint.s3_errors import CHANGED, UNREACHABLE, ObjectError, translating

__all__ = ["CHANGED", "UNREACHABLE", "Coming", "ObjectError", "S3Location", "S3Objects"]

_PART = 1024 * 1024
_CONNECT_S = 3.0
_READ_S = 60.0
_AMAZON = re.compile(
    r"^(?:(?P<bucket>.+)\.)?s3(?:-fips)?(?:[.-](?:dualstack\.)?[a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?$"
)


@dataclass(frozen=True, kw_only=True)
class S3Location:
    """Where an object is. ``key`` may be empty, or a prefix."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def parse_uri(uri: str, *, endpoint_url: str | None = None) -> S3Location:
    """``s3://bucket/key``, or an ``https://`` URL of S3 itself or of the configured endpoint.

    Raises ``ObjectError`` (``InvalidURI``) for any other.
    """
    if uri.startswith("s3://"):  # a key may hold ? and #, which no URL parser leaves alone
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        if bucket:
            return S3Location(bucket=bucket, key=key)
    parts = urlsplit(uri)
    ours = endpoint_url is not None and parts.netloc == urlsplit(endpoint_url).netloc
    amazon = _AMAZON.match(parts.hostname or "")
    if ours or (parts.scheme == "https" and amazon):
        path = unquote(parts.path.removeprefix("/"))
        if amazon and amazon["bucket"]:
            return S3Location(bucket=amazon["bucket"], key=path)
        bucket, _, key = path.partition("/")
        if bucket:
            return S3Location(bucket=bucket, key=key)
    raise ObjectError(
        "InvalidURI",
        f"{uri!r} is not an S3 URI. Write s3://BUCKET/KEY, or the object's https:// URL.",
    )


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An object, as S3 tells of it."""

    key: str
    etag: str
    size: int
    """Bytes."""


def _stored(key: str, etag: str, size: int) -> Stored:
    return Stored(key=key, etag=etag.strip('"'), size=size)


class Coming(Iterator[bytes]):
    """An object on its way: its parts, and what it is."""

    def __init__(self, answer: Any, *, doing: str, endpoint: str) -> None:
        self.etag = str(answer.get("ETag", "")).strip('"')
        self._body = answer["Body"]
        self._parts = self._body.iter_chunks(_PART)
        self._doing, self._endpoint = doing, endpoint

    def __next__(self) -> bytes:
        with translating(self._doing, self._endpoint):
            part: bytes | None = next(self._parts, None)
        if part is None:
            raise StopIteration
        return part

    def stop(self) -> None:
        """Break off what another thread reads: that ends at once."""
        with suppress(Exception):  # it has ended, or will when the connection does
            self._body._raw_stream.shutdown()  # noqa: SLF001 - there is no other way

    def close(self) -> None:
        self._body.close()


class S3Objects:
    """S3, or what stands in for it at ``endpoint_url``, as far as the emulator needs it.

    Blocking, and safe to use from several threads. Every method raises ``ObjectError``.
    """

    def __init__(
        self, *, endpoint_url: str | None, region: str | None = None, read_s: float = _READ_S
    ) -> None:
        """``read_s`` is how long an answer may be silent."""
        self._endpoint_url = endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or None
        self._region = region
        self._read_s = read_s
        self._lock = threading.Lock()
        self._made: Any = None

    def download(self, uri: str, into: Path, *, etag: str | None = None) -> str:
        """One object into a file, which appears only when it is whole; its ETag."""
        part = into.with_name(f".{into.name}.{threading.get_ident()}.part")
        into.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.open(uri, etag=etag) as coming, part.open("wb") as file:
                for chunk in coming:
                    file.write(chunk)
            part.replace(into)
        finally:
            part.unlink(missing_ok=True)
        return coming.etag

    @contextmanager
    def open(self, uri: str, *, etag: str | None = None) -> Iterator["Coming"]:
        """One object as a stream of parts of at most 1 MiB.

        With ``etag`` only if it has that one, else ``ObjectError`` (``CHANGED``).
        """
        location = self.location(uri)
        wanted = {} if etag is None else {"IfMatch": f'"{etag}"'}
        with self._translating(f"Downloading {location}"):
            answer = self._client().get_object(Bucket=location.bucket, Key=location.key, **wanted)
        coming = Coming(answer, doing=f"Downloading {location}", endpoint=self._endpoint)
        try:
            if etag not in {None, coming.etag}:  # a look-alike that knows no conditions
                raise ObjectError(CHANGED, f"{location} has the ETag {coming.etag}, not {etag}.")
            yield coming
        finally:
            coming.close()

    def listing(self, uri: str) -> Sequence["Stored"]:
        """Every object whose key begins with a prefix, in S3's order; none is an error."""
        location = self.location(uri)
        with self._translating(f"Listing {location}"):
            pages = self._client().get_paginator("list_objects_v2")
            found = [
                _stored(str(row["Key"]), row["ETag"], row["Size"])
                for page in pages.paginate(Bucket=location.bucket, Prefix=location.key)
                for row in page.get("Contents", ())
            ]
        if not found:
            raise ObjectError(
                "NoSuchKey", f"{location}: no object below this prefix. Upload them, or correct it."
            )
        return found

    def read(self, uri: str) -> tuple[bytes, str]:
        location = self.location(uri)
        with self._translating(f"Reading {location}"):
            answer = self._client().get_object(Bucket=location.bucket, Key=location.key)
            return bytes(answer["Body"].read()), str(answer.get("ContentType", ""))

    def write(self, uri: str, data: bytes, *, content_type: str = "") -> None:
        """One object, replacing one of the same key."""
        location = self.location(uri)
        kind = {"ContentType": content_type} if content_type else {}
        with self._translating(f"Writing {location}"):
            self._client().put_object(Bucket=location.bucket, Key=location.key, Body=data, **kind)

    def size(self, uri: str) -> int:
        return self.stored(uri).size

    def etag(self, uri: str) -> str:
        return self.stored(uri).etag

    def stored(self, uri: str) -> Stored:
        """One object, without its content."""
        head = self._head(uri)
        return _stored(self.location(uri).key, head["ETag"], head["ContentLength"])

    def location(self, uri: str) -> S3Location:
        return parse_uri(uri, endpoint_url=self._endpoint_url)

    def _head(self, uri: str) -> Any:
        location = self.location(uri)
        if not location.key:
            raise ObjectError(
                "NoSuchKey", f"{location} names a bucket and no object. Write s3://BUCKET/KEY."
            )
        client = self._client()
        with self._translating(f"Reading {location}"):
            try:
                return client.head_object(Bucket=location.bucket, Key=location.key)
            except refused.ClientError as error:
                # An answer to HEAD has no body that says which of the two is missing.
                if error.response.get("Error", {}).get("Code") != "404":
                    raise
                try:
                    client.head_bucket(Bucket=location.bucket)
                except refused.ClientError as of_bucket:
                    if of_bucket.response.get("Error", {}).get("Code") == "404":
                        missing = {"Error": {"Code": "NoSuchBucket", "Message": "Not Found"}}
                        raise refused.ClientError(missing, "HeadBucket") from error
                raise

    def first(self, uri: str) -> None:
        """That there is an object below a prefix: ``NoSuchKey`` if not."""
        location = self.location(uri)
        with self._translating(f"Listing {location}"):
            found = self._client().list_objects_v2(
                Bucket=location.bucket, Prefix=location.key, MaxKeys=1
            )
        if not found.get("Contents"):
            raise ObjectError("NoSuchKey", f"{location}: no object below this prefix.")

    @property
    def _endpoint(self) -> str:
        return self._endpoint_url or "AWS"

    def _translating(self, doing: str) -> AbstractContextManager[None]:
        return translating(doing, self._endpoint)

    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                with self._translating("Setting up S3"):
                    self._made = self._make()
            return self._made

    def _make(self) -> Any:
        custom = self._endpoint_url is not None
        amazon = custom and _AMAZON.match(urlsplit(str(self._endpoint_url)).hostname or "")
        session = botocore.session.Session()
        if custom and not amazon:
            # A look-alike has no instance roles, and asking for one takes seconds off a cloud.
            session.get_component("credential_provider").remove("iam-role")
        keys = {}
        if custom and session.get_credentials() is None:
            keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        region = self._region or session.get_config_variable("region") or "us-east-1"
        return boto3.Session(botocore_session=session, region_name=region).client(
            "s3",
            endpoint_url=self._endpoint_url,
            config=Config(
                connect_timeout=_CONNECT_S,
                read_timeout=self._read_s,
                retries={"mode": "standard", "total_max_attempts": 2},
                max_pool_connections=32,
                # Look-alikes know neither buckets as host names nor the newer checksums.
                s3={"addressing_style": "path"} if custom and not amazon else None,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
            **keys,
        )
