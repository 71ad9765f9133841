"""What it takes to remove a deployment, and the proof that nothing is left."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from lab.aws.access.errors import redacted
from lab.aws.model import AwsError, CloudResource, Kept, Removal
from lab.progress import Progress

_LOOKS: Final = 5  # some listings lag behind

S3 = Callable[..., Mapping[str, Any] | None]
"""An operation of S3 by its Python name; None for what is not there."""


def empty(s3: S3, bucket: str, progress: Progress) -> int:
    """Remove every version of every object, and what uploads left half-done; how many objects.

    A bucket can only be deleted when it is empty. Raises ``AwsError``.
    """
    count = 0
    # Redacted: a bucket's name holds the account's id.
    with progress.step(f"Emptying the bucket {redacted(bucket)}") as step:
        # What is listed is removed, so the first page is always the next one.
        while found := _objects(s3("list_object_versions", Bucket=bucket)):
            answer = s3("delete_objects", Bucket=bucket, Delete={"Objects": found, "Quiet": True})
            for error in (answer or {}).get("Errors", ()):
                raise AwsError(
                    f"{error.get('Key')} could not be removed from the bucket: "
                    + redacted(f"{error.get('Code')}: {error.get('Message')}"),
                    remedy="See docs/aws-policy.json for the permissions, and run it again.",
                )
            count += len(found)
            step.detail(f"{count} objects")
        while uploads := (s3("list_multipart_uploads", Bucket=bucket) or {}).get("Uploads"):
            for one in uploads:
                s3(
                    "abort_multipart_upload",
                    Bucket=bucket,
                    Key=one["Key"],
                    UploadId=one["UploadId"],
                )
    return count


def _objects(page: Mapping[str, Any] | None) -> list[dict[str, str]]:
    rows = [] if page is None else [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
    return [{"Key": row["Key"], "VersionId": row["VersionId"]} for row in rows]


def compared(
    before: Sequence[CloudResource],
    look: Callable[[], Sequence[CloudResource]],
    *,
    own: Collection[str],
    poll_s: float,
) -> Removal:
    """What is gone, and what is still there although (``own``) or because it was not ours."""
    after = look()
    for _ in range(_LOOKS):
        if not any(resource.name in own for resource in after):
            break
        time.sleep(poll_s)
        after = look()
    return Removal(
        removed=tuple(resource for resource in before if resource not in after),
        kept=tuple(
            Kept(
                resource=resource,
                why="AWS still lists it: run this again in a few minutes"
                if resource.name in own
                else "no stack of the lab's made it",
            )
            for resource in after
        ),
    )
