"""S3 through boto3: the only location in the emulator that knows it.

Everything S3 or the way to it can say becomes an ``ObjectError`` that names the location, what was
said and what to do next.
"""

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import boto3
import botocore.session
from botocore import exceptions as refused
from botocore.config import Config

UNREACHABLE: Final = "Unreachable"
"""``ObjectError.code`` when nobody answered: the one that may pass by itself."""

_PART = 1024 * 1024
_CONNECT_S = 3.0
_READ_S = 60.0
_AMAZON = re.compile(
    r"^(?:(?P<bucket>.+)\.)?s3(?:[.-](?:dualstack\.)?[a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?$"
)


class ObjectError(Exception):
    """S3 refused: ``NoSuchKey``, ``NoSuchBucket``, ``AccessDenied``, or could not be reached."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


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


_KEY: Final = ("NoSuchKey", "Upload the object, or correct the key.")
_DENIED: Final = ("AccessDenied", "Allow these credentials to do that, or use others.")
_REGION: Final = ("PermanentRedirect", "Set the region to the bucket's own.")
_BUSY: Final = ("SlowDown", "Try again later.")
_BROKEN: Final = ("InternalError", "Try again later.")
_DOWN: Final = (UNREACHABLE, "Start it, or set AWS_ENDPOINT_URL_S3 to one that runs.")

_ANSWERED: Final[Mapping[str, tuple[str, str]]] = {
    # What S3 answers with, by its own code: our code (S3's name of it), and what to do next.
    **dict.fromkeys(("NoSuchKey", "NotFound", "404"), _KEY),
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "Forbidden", "403"), _DENIED),
    **dict.fromkeys(("PermanentRedirect", "AuthorizationHeaderMalformed"), _REGION),
    **dict.fromkeys(("SlowDown", "ServiceUnavailable", "503"), _BUSY),
    **dict.fromkeys(("InternalError", "500"), _BROKEN),
    "NoSuchBucket": ("NoSuchBucket", "Create the bucket, or correct its name."),
    "InvalidBucketName": ("NoSuchBucket", "Correct the bucket's name."),
    "InvalidAccessKeyId": ("AccessDenied", "Set AWS_ACCESS_KEY_ID to a key this S3 knows."),
    "SignatureDoesNotMatch": ("AccessDenied", "Set AWS_SECRET_ACCESS_KEY to that key's secret."),
    "ExpiredToken": ("AccessDenied", "Get new temporary credentials."),
    "EntityTooLarge": ("EntityTooLarge", "Send a smaller object."),
}

_RAISED: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    # What botocore raises when there was no answer, most specific first; the last takes the rest.
    (refused.NoCredentialsError, "AccessDenied", "Set AWS_ACCESS_KEY_ID and its secret."),
    (refused.PartialCredentialsError, "AccessDenied", "Set the credentials that are missing."),
    (refused.CredentialRetrievalError, "AccessDenied", "See to where credentials come from."),
    (refused.ProfileNotFound, "AccessDenied", "Set AWS_PROFILE to a profile that exists."),
    (refused.SSLError, UNREACHABLE, "Trust its certificate authority (AWS_CA_BUNDLE)."),
    (refused.ProxyConnectionError, UNREACHABLE, "See to the proxy (HTTPS_PROXY, NO_PROXY)."),
    (refused.HTTPClientError, *_DOWN),
    (refused.ConnectionError, *_DOWN),
    (refused.IncompleteReadError, UNREACHABLE, "Try again: the connection ended too soon."),
    (refused.ParamValidationError, "InvalidURI", "Write s3://BUCKET/KEY."),
    (refused.BotoCoreError, "InternalError", "Check the AWS configuration."),
)


@contextmanager
def _translating(doing: str, endpoint: str) -> Iterator[None]:
    try:
        yield
    except refused.ClientError as error:
        details = error.response.get("Error", {})
        own_code = str(details.get("Code", ""))
        code, remedy = _ANSWERED.get(own_code, (own_code or "InternalError", "See what S3 said."))
        words = details.get("Message") or own_code
        raise ObjectError(
            code, f"{doing}: S3 at {endpoint} said {code} ({words}). {remedy}"
        ) from error
    except refused.BotoCoreError as error:
        code, remedy = next(
            (code, remedy) for kind, code, remedy in _RAISED if isinstance(error, kind)
        )
        what = f"S3 at {endpoint} cannot be reached: " if code == UNREACHABLE else ""
        raise ObjectError(code, f"{doing}: {what}{error}. {remedy}".replace("..", ".")) from error


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

    def download(self, uri: str, into: Path) -> str:
        """One object into a file, which appears only when it is whole; its ETag."""
        location = self._location(uri)
        part = into.with_name(f".{into.name}.{threading.get_ident()}.part")
        into.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._translating(f"Downloading {location}"):
                answer = self._client().get_object(Bucket=location.bucket, Key=location.key)
                with part.open("wb") as file:
                    for chunk in answer["Body"].iter_chunks(_PART):
                        file.write(chunk)
            part.replace(into)
        finally:
            part.unlink(missing_ok=True)
        return str(answer["ETag"]).strip('"')

    @contextmanager
    def open(self, uri: str) -> Iterator[Iterator[bytes]]:
        """One object as a stream of parts of at most 1 MiB."""
        location = self._location(uri)
        doing = f"Downloading {location}"
        with self._translating(doing):
            body = self._client().get_object(Bucket=location.bucket, Key=location.key)["Body"]

        def parts() -> Iterator[bytes]:
            with self._translating(doing):
                yield from body.iter_chunks(_PART)

        try:
            yield parts()
        finally:
            body.close()

    def download_prefix(self, uri: str, into: Path) -> None:
        """Every object below a prefix, as files below a folder."""
        location = self._location(uri)
        found = 0
        with self._translating(f"Listing {location}"):
            pages = self._client().get_paginator("list_objects_v2")
            keys = [
                str(row["Key"])
                for page in pages.paginate(Bucket=location.bucket, Prefix=location.key)
                for row in page.get("Contents", ())
            ]
        for key in keys:
            relative = PurePosixPath(key.removeprefix(location.key).lstrip("/"))
            if key.endswith("/") or not relative.parts:
                continue  # a console's "folder"
            if ".." in relative.parts:
                raise ObjectError(
                    "InvalidURI", f"{location}: the key {key!r} leads out of the folder."
                )
            self.download(str(S3Location(bucket=location.bucket, key=key)), into / relative)
            found += 1
        if not found:
            raise ObjectError(
                "NoSuchKey", f"{location}: no object below this prefix. Upload them, or correct it."
            )

    def read(self, uri: str) -> tuple[bytes, str]:
        location = self._location(uri)
        with self._translating(f"Reading {location}"):
            answer = self._client().get_object(Bucket=location.bucket, Key=location.key)
            return bytes(answer["Body"].read()), str(answer.get("ContentType", ""))

    def write(self, uri: str, data: bytes, *, content_type: str = "") -> None:
        """One object, replacing one of the same key."""
        location = self._location(uri)
        kind = {"ContentType": content_type} if content_type else {}
        with self._translating(f"Writing {location}"):
            self._client().put_object(Bucket=location.bucket, Key=location.key, Body=data, **kind)

    def size(self, uri: str) -> int:
        location = self._location(uri)
        client = self._client()
        with self._translating(f"Reading {location}"):
            try:
                return int(
                    client.head_object(Bucket=location.bucket, Key=location.key)["ContentLength"]
                )
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
        location = self._location(uri)
        with self._translating(f"Listing {location}"):
            found = self._client().list_objects_v2(
                Bucket=location.bucket, Prefix=location.key, MaxKeys=1
            )
        if not found.get("Contents"):
            raise ObjectError("NoSuchKey", f"{location}: no object below this prefix.")

    def _location(self, uri: str) -> S3Location:
        return parse_uri(uri, endpoint_url=self._endpoint_url)

    @contextmanager
    def _translating(self, doing: str) -> Iterator[None]:
        with _translating(doing, self._endpoint_url or "AWS"):
            yield

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
