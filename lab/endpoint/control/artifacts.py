"""What a model is made from, as ``CreateModel`` looks at it: its image and its data in S3.

Sentences seen on AWS are used as they are there; what the lab adds comes behind them. Blocking.
"""

import re
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from lab.endpoint.control.context import Arns
from lab.endpoint.launch.ahead import awaited
from lab.endpoint.launch.images import ECR, in_registry, names_here, not_found, one_line
from lab.endpoint.protocol.errors import ApiError, validation_exception
from lab.endpoint.s3 import UNREACHABLE, ObjectError, S3Objects
from lab.engine.api import Engine
from lab.engine.registry.manifests import OCI_INDEX, OCI_MANIFEST
from lab.errors import EngineError, ImageNotFoundError

LOOK_S: Final = 10.0
"""How long the engine, a registry or S3 may take to say whether it has something."""

_T = TypeVar("_T")
_MISSING: Final = frozenset({"NoSuchKey", "NoSuchBucket"})
_FORBIDDEN: Final = frozenset({"AccessDenied", "PermanentRedirect"})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_REPOSITORY: Final = re.compile(
    r"[a-z0-9]+(?:(?:[._/-]|__|-+)[a-z0-9]+)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)


class Artifacts(Protocol):
    """Says no to what cannot be found. Every method raises ``ApiError``."""

    def check_image(self, image: str) -> None:
        """That there is such an image, here or in a registry that answers at once."""

    def check_data(self, uri: str, *, prefix: bool, role: str) -> None:
        """That there is such an object, or one below such a prefix."""


class FoundArtifacts:
    """Asks the engine, the registries that it reaches, and S3."""

    def __init__(
        self, *, engine: Engine, objects: S3Objects, registry: str | None, region: str
    ) -> None:
        """``registry`` is the local one as the engine reaches it.

        ``objects`` should be patient for no longer than ``LOOK_S``.
        """
        self._engine = engine
        self._objects = objects
        self._registry = registry
        self._region = region

    def check_image(self, image: str) -> None:
        ecr = ECR.fullmatch(image)
        if any(self._here(image, ref) for ref in names_here(image)):
            return
        tried: list[str] = []
        for ref in (*in_registry(image, self._registry), image):
            held_as = self._held_as(ref, tried)
            if held_as is None:
                continue
            if ecr and held_as in {OCI_INDEX, OCI_MANIFEST}:
                raise validation_exception(
                    f"Unsupported manifest media type {held_as} for image {image}. Ensure that "
                    "valid manifest media type is used for specified image."
                )
            return
        raise validation_exception(one_line(not_found(image, tried)))

    def check_data(self, uri: str, *, prefix: bool, role: str) -> None:
        try:
            if prefix:
                self._objects.first(uri)
            else:
                self._objects.size(uri)
        except ObjectError as error:
            raise validation_exception(self._refusal(uri, role, error)) from error

    def _refusal(self, uri: str, role: str, error: ObjectError) -> str:
        if error.code in _MISSING:
            return f"Could not find model data at {uri}."
        if error.code in _FORBIDDEN:
            return (
                f'Could not access model data at {uri}. Please ensure that the role "{role}" '
                'exists and that its trust relationship policy allows the action "sts:AssumeRole" '
                'for the service principal "sagemaker.amazonaws.com". Also ensure that the role '
                f'has "s3:GetObject" permissions and that the object is located in {self._region}. '
                "If your Model uses multiple models or uncompressed models, please ensure that the "
                f'role has "s3:ListBucket" permission. The lab asked: {error}'
            )
        what = "reach S3 to look" if error.code == UNREACHABLE else "look"
        return f"The lab could not {what} for the model data at {uri}. {error}"

    def _here(self, image: str, ref: str) -> bool:
        could_not = f"The lab could not look for image {image}."
        try:
            _in_time(lambda: self._engine.image(ref))
        except ImageNotFoundError:
            return False
        except EngineError as error:
            raise validation_exception(f"{could_not} {one_line(error)}") from error
        except TimeoutError as error:
            raise validation_exception(
                f"{could_not} The engine did not answer within {LOOK_S:g} s. See `lab doctor`."
            ) from error
        return True

    def _held_as(self, ref: str, tried: list[str]) -> str | None:
        """The media type of its manifest; None, and why, if no registry says so in time."""
        try:
            return _in_time(lambda: self._engine.media_type(ref))
        except EngineError as error:
            tried.append(f"{ref}: {error.what.rstrip('.')}")
        except TimeoutError:
            tried.append(f"{ref}: its registry did not answer within {LOOK_S:g} s")
        return None


def _in_time(ask: Callable[[], _T]) -> _T:
    """What an engine or a registry answers. Raises ``TimeoutError`` after ``LOOK_S``."""
    over_at = time.monotonic() + LOOK_S

    def check() -> None:
        if time.monotonic() >= over_at:
            raise TimeoutError

    return awaited(ask, check)


def check_image_name(image: str, names: Arns, registry: str | None) -> None:
    """What AWS refuses of a name alone; names without a registry are the lab's own, and allowed.

    Raises ``ApiError``.
    """
    ecr = ECR.fullmatch(image)
    host = _host(image)
    if ecr is None and ".dkr.ecr" in image.partition("/")[0]:
        raise validation_exception(f'ECR image "{image}" is invalid.')
    if ecr is None and not _is_local(host, registry):
        raise validation_exception(
            f'Using non-ECR image "{image}" without Vpc repository access mode is not supported. '
            "The lab has no VPC: give the image a local name, or one of ECR's."
        )
    if ecr is None:
        if not _REPOSITORY.fullmatch(image.removeprefix(f"{host}/" if host else "")):
            raise validation_exception(
                f'The lab cannot read the image name "{image}": it is NAME, NAME:TAG or '
                "NAME@sha256:DIGEST, with NAME in lower case."
            )
        return
    if not _REPOSITORY.fullmatch(ecr["place"]):
        raise validation_exception(f'ECR image "{image}" is invalid.')
    if ecr["region"] != names.region:
        raise validation_exception(
            f'Region of "{image}" does not match expected region of {names.region}. Cross region '
            "ECR image pulls are not allowed."
        )


def check_role(role: str | None, names: Arns) -> None:
    """A role has to be of the account that passes it on. Raises ``ApiError``."""
    account = names.account if role is None else role.split(":")[4]
    if account != names.account:
        raise ApiError(
            "AccessDeniedException",
            f"Cross-account pass role is not allowed. The lab's account is {names.account}: use a "
            "role of it, or set LAB_ACCOUNT.",
        )


def image_note(image: str) -> str | None:
    """What is to be said of a name that only the lab takes."""
    if ECR.fullmatch(image):
        return None
    return f"The image {image} has a local name; AWS takes names of Amazon ECR's only."


def _host(image: str) -> str:
    """The registry in front of an image's name; empty where there is none."""
    first, slash, _ = image.partition("/")
    return first if slash and (first == "localhost" or re.search("[.:]", first)) else ""


def _is_local(host: str, registry: str | None) -> bool:
    return not host or host == registry or re.sub(r":\d+$", "", host) in _LOOPBACK
