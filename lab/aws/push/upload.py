"""The model's archive, from this machine to S3: in parts, encrypted, its sum compared at the end.

The key is made from the archive's SHA-256, so the same archive is never sent twice and a new one
never takes the place of one that an endpoint may still read.
"""

import base64
import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from s3transfer.manager import TransferConfig, TransferManager
from s3transfer.subscribers import BaseSubscriber

from lab.aws.access.session import AwsSession
from lab.aws.model import AwsError
from lab.errors import ArchiveError, LabError
from lab.progress import Progress, Step
from lab.units import format_bytes

PART_BYTES: Final = 16 << 20
"""Larger archives go in parts of this size; S3's sum of sums depends on it."""

_AT_A_TIME: Final = 4
_ENCRYPTION: Final = "AES256"


@dataclass(frozen=True, kw_only=True)
class Uploaded:
    """An archive in its bucket."""

    url: str
    """``s3://BUCKET/models/SHA256/model.tar.gz``."""
    sent: bool
    """False: it was there already."""


def key_of(sha256: str) -> str:
    """Where an archive lies in its bucket."""
    return f"models/{sha256}/model.tar.gz"


def find(aws: AwsSession, path: Path, *, bucket: str, sha256: str) -> Uploaded | None:
    """The archive in the bucket with the sums it has here, or None. Only reads."""
    key = key_of(sha256)
    head = aws.find("s3", "head_object", Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    if head is None or _wrong(head, path) is not None:
        return None
    return Uploaded(url=f"s3://{bucket}/{key}", sent=False)


def upload(
    aws: AwsSession, path: Path, *, bucket: str, sha256: str, progress: Progress
) -> Uploaded:
    """Have the archive in the bucket, whole: what S3 holds is compared with what is here.

    Parts that an upload left behind when it was cut are taken away first, for they cost until
    then. Raises ``ArchiveError`` when the file is not the archive of that sum, and ``AwsError``.
    """
    there = find(aws, path, bucket=bucket, sha256=sha256)
    if there is not None:
        return there
    _refuse_changed(path, sha256)
    key = key_of(sha256)
    _abort(aws, bucket, key)
    size = path.stat().st_size
    with progress.step(f"Upload {path.name} ({format_bytes(size)})") as step:
        with _cleaned(aws, bucket, key):
            _send(aws, path, bucket, key, step)
        head = aws.call("s3", "head_object", Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    wrong = _wrong(head, path)
    if wrong is not None:
        raise AwsError(
            f"What S3 holds is not {path.name}: {wrong}.", remedy="Run it again: it is sent anew."
        )
    return Uploaded(url=f"s3://{bucket}/{key}", sent=True)


def checksums(path: Path, *, part_bytes: int = PART_BYTES) -> tuple[str, str]:
    """S3's SHA-256 and its ETag of a file that is sent in parts of ``part_bytes``.

    Of one that fits a single part they are the plain sums; else those of the parts' sums, with the
    number of parts behind a hyphen. The ETag is that of objects under SSE-S3.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
    """
    sha, md5 = [], []
    with path.open("rb") as file:
        while chunk := file.read(part_bytes):
            sha.append(hashlib.sha256(chunk).digest())
            md5.append(hashlib.md5(chunk, usedforsecurity=False).digest())
    if path.stat().st_size < part_bytes:
        whole = sha[0] if sha else hashlib.sha256(b"").digest()
        plain = md5[0] if md5 else hashlib.md5(b"", usedforsecurity=False).digest()
        return base64.b64encode(whole).decode(), plain.hex()
    of_parts = base64.b64encode(hashlib.sha256(b"".join(sha)).digest()).decode()
    etag = hashlib.md5(b"".join(md5), usedforsecurity=False).hexdigest()
    return f"{of_parts}-{len(sha)}", f"{etag}-{len(md5)}"


def _wrong(head: Mapping[str, Any], path: Path) -> str | None:
    """What does not agree; None if all does."""
    size = path.stat().st_size
    if head["ContentLength"] != size:
        return f"{head['ContentLength']} bytes, not {size}"
    sha256, etag = checksums(path)
    if "ChecksumSHA256" in head:
        # Not every store that speaks S3 appends the number of parts, which the size tells anyway.
        same = _bare(str(head["ChecksumSHA256"])) == _bare(sha256)
        return None if same else "its SHA-256 is another"
    # Stores that keep no such sum have an ETag.
    return None if str(head.get("ETag", "")).strip('"') == etag else "its ETag is another"


def _bare(checksum: str) -> str:
    return checksum.partition("-")[0]


def _refuse_changed(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ArchiveError(
            f"{path} is not the archive that its card describes.",
            remedy="Build it again: `lab models build --force`.",
        )


def _send(aws: AwsSession, path: Path, bucket: str, key: str, step: Step) -> None:
    config = TransferConfig(
        multipart_threshold=PART_BYTES,
        multipart_chunksize=PART_BYTES,
        max_request_concurrency=_AT_A_TIME,
    )
    extra = {
        "ServerSideEncryption": _ENCRYPTION,
        "ChecksumAlgorithm": "SHA256",
        "ContentType": "application/gzip",
    }
    with (
        aws.translating(f"upload {path.name} to s3://{key}"),
        # On Ctrl-C it gives the upload up and waits for its threads.
        TransferManager(aws.client("s3"), config) as manager,
    ):
        shown = _Shown(step, path.stat().st_size)
        manager.upload(str(path), bucket, key, extra_args=extra, subscribers=[shown]).result()


class _Shown(BaseSubscriber):  # type: ignore[misc]  # s3transfer has no types
    """Progress, told by several threads."""

    def __init__(self, step: Step, total: int) -> None:
        self._step = step
        self._total = total
        self._done = 0
        self._lock = threading.Lock()

    def on_progress(self, bytes_transferred: int, **_: Any) -> None:
        """So many bytes more; fewer when a part is begun again."""
        with self._lock:
            self._done += bytes_transferred
            self._step.advance(self._done, self._total)


@contextmanager
def _cleaned(aws: AwsSession, bucket: str, key: str) -> Iterator[None]:
    """Take the parts away when an upload fails; if that fails too, the next run does it."""
    try:
        yield
    except BaseException:
        with suppress(LabError):
            _abort(aws, bucket, key)
        raise


def _abort(aws: AwsSession, bucket: str, key: str) -> None:
    for begun in aws.every("s3", "list_multipart_uploads", "Uploads", Bucket=bucket, Prefix=key):
        if begun["Key"] == key:
            aws.find(
                "s3",
                "abort_multipart_upload",
                Bucket=bucket,
                Key=key,
                UploadId=begun["UploadId"],
            )
