"""What ``ModelDataSource`` may say, and how objects lie below ``/opt/ml/model``: no S3 needed."""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from lab.artifacts.members import name_problem, shown
from lab.endpoint.s3 import S3Location
from lab.errors import LabError


class LayoutError(LabError):
    """Objects cannot be files below the model's folder: of a name, or of two that clash."""


def data_problem(source: Mapping[str, Any]) -> str | None:
    """Why an ``S3DataSource`` (of a ``ModelDataSource``) is refused, in whole sentences; or None.

    Its members are of the right types, and those that SageMaker requires are there.
    """
    uri, kind, compression = (source[name] for name in ("S3Uri", "S3DataType", "CompressionType"))
    for name in ("ManifestS3Uri", "ManifestEtag", "HubAccessConfig"):
        if name in source:
            return (
                f"S3DataSource has {name}. The lab does not emulate this; on SageMaker it may work."
            )
    if kind == "S3Object":
        problem = None if compression == "Gzip" else name_problem(_last_part(uri))
        return problem and (
            f"The lab refuses the S3Uri {uri}, as SageMaker does: with S3DataType S3Object and "
            f"CompressionType None the last part of the key is the file's name, and it {problem}."
        )
    if compression == "Gzip":
        return (
            "The lab refuses S3DataType S3Prefix with CompressionType Gzip, as SageMaker does: an "
            "archive is an S3Object, and what lies below an S3Prefix goes with None."
        )
    if not uri.endswith("/"):
        return (
            f"The lab refuses the S3Uri {uri}, as SageMaker does: with S3DataType S3Prefix it ends "
            f"with a slash. Write {uri}/."
        )
    if "ETag" in source:
        return (
            "S3DataSource has an ETag for an S3Prefix. The lab does not emulate this; on SageMaker "
            "it may work."
        )
    return None


def file_name(key: str) -> str:
    """What the one object of S3DataType S3Object with CompressionType None is called."""
    return key.rpartition("/")[2]


def laid_out(prefix: S3Location, keys: Iterable[str]) -> Mapping[str, PurePosixPath]:
    """By key, the path below the model's folder. Raises ``LayoutError`` where SageMaker fails."""
    rest = {key: key.removeprefix(prefix.key) for key in keys}
    files = set(rest.values())
    for key, path in rest.items():
        if path.endswith("/") or not path:
            at = f"--bucket {shlex.quote(prefix.bucket)} --key {shlex.quote(key)}"
            raise _refused(
                prefix,
                f"the key {shown(key)} ends with a slash, as the folders do that the S3 console "
                "makes, and no file can be called so",
                remedy=f"Delete it: `aws s3api delete-object {at}`.",
            )
        parts = path.split("/")
        for part in parts:
            problem = name_problem(part)
            if problem is not None:
                raise _refused(prefix, f"a part of the key {shown(key)} {problem}")
        for count in range(1, len(parts)):
            folder = "/".join(parts[:count])
            if folder in files:
                raise _refused(
                    prefix,
                    f"{shown(folder)} would be a file and, by the key {shown(key)}, a folder",
                )
    return {key: PurePosixPath(path) for key, path in rest.items()}


def _last_part(uri: str) -> str:
    """Of an S3 URI's key; empty where it has none."""
    return file_name(uri.partition("://")[2].partition("/")[2])


def _refused(
    prefix: S3Location, what: str, *, remedy: str = "Give the object another key."
) -> LayoutError:
    return LayoutError(
        f"The model data at {prefix} cannot be laid out below /opt/ml/model, on SageMaker neither: "
        f"{what}.",
        remedy=remedy,
    )
