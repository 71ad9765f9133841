"""The image, from the engine to ECR, and read back: known by its content from end to end.

The engine pushes, as it does everywhere; ECR's password goes to it with the request and is kept
nowhere. The tag is made from the image's id, so that the repository's immutable tags never stand
in the way: the same image has the same tag, another image another.
"""

import base64
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from lab.aws.access.errors import redacted
from lab.aws.access.session import AwsSession
from lab.aws.model import AwsError
from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.distribution import Distribution
from lab.engine.registry.push import push_together
from lab.errors import DiskFullError, EngineError, ImageNotFoundError, RegistryError, UsageError
from lab.images.publish import refuse_unfit
from lab.progress import Progress

REGISTRY: Final = "LAB_ECR_REGISTRY"
"""``host[:port]`` of a registry that takes ECR's place and gets ECR's password: a mirror, a test's.

On 127.0.0.1 it is spoken to without TLS, as engines do.
"""

_LOOPBACK: Final = ("127.", "localhost")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?")
_TAG_DIGITS: Final = 32
_FORBIDDEN: Final = re.compile(r"denied|not authorized|\b403\b", re.IGNORECASE)
_ALLOW: Final = "Let the identity push: docs/aws-policy.json has what it needs."
_AGAIN: Final = "Run it again: layers that have arrived are not sent twice."


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """An image as ECR has it."""

    image: str
    """``REPOSITORY@sha256:...``: what SageMaker is told."""
    digest: str
    compressed_bytes: int
    sent: bool
    """False: it was there already."""


@dataclass(frozen=True, kw_only=True)
class _Repository:
    """A repository and how to get in."""

    host: str
    name: str
    user: str
    password: str

    @property
    def address(self) -> str:
        return f"{self.host}/{self.name}"


def tag_of(image_id: str) -> str:
    """The tag of an image in its repository, from the engine's id: ``id-`` and 32 digits."""
    return f"id-{image_id.removeprefix('sha256:')[:_TAG_DIGITS]}"


def find(
    aws: AwsSession,
    engine: DockerEngine,
    ref: str,
    *,
    repository: str,
    env: Mapping[str, str] = os.environ,
) -> Pushed | None:
    """The engine's image ``ref`` in ``repository``; None if it or the repository is not there.

    Only reads. Raises ``ImageNotFoundError`` when the engine has none, and ``AwsError``.
    """
    where = _repository(aws, repository, env)
    if where is None:
        return None
    image_id = engine.image(ref).image_id
    with _opened(where) as http:
        return _found(http, where, image_id, sent=False)


def push(
    aws: AwsSession,
    engine: DockerEngine,
    ref: str,
    *,
    repository: str,
    progress: Progress,
    env: Mapping[str, str] = os.environ,
) -> Pushed:
    """Have the engine's image ``ref`` in ``repository``; layers that are there are not sent.

    Raises ``ImageNotFoundError``, ``DiskFullError``, and ``AwsError`` when the repository is not
    there, the push fails, or what arrived is not a Docker schema 2 manifest of one platform.
    """
    where = _repository(aws, repository, env)
    if where is None:
        raise AwsError(
            f"The repository {repository} is not there.",
            remedy="Run the push again: it makes the repository first.",
        )
    image_id = engine.image(ref).image_id
    with _opened(where) as http:
        there = _found(http, where, image_id, sent=False)
        if there is not None:
            return there
        with progress.step(f"Push {ref} to {repository}") as step:
            push_together(
                engine,
                {ref: (where.address, tag_of(image_id))},
                step,
                auth={"username": where.user, "password": where.password},
            )
        arrived = _found(http, where, image_id, sent=True)
    if arrived is None:
        raise AwsError(f"{ref} was pushed, but {repository} does not hold it.", remedy=_AGAIN)
    return arrived


def _repository(aws: AwsSession, repository: str, env: Mapping[str, str]) -> _Repository | None:
    found = aws.find("ecr", "describe_repositories", repositoryNames=[repository])
    if found is None or not found["repositories"]:
        return None
    uri = str(found["repositories"][0]["repositoryUri"])
    given = aws.call("ecr", "get_authorization_token")["authorizationData"][0]
    user, _, password = base64.b64decode(given["authorizationToken"]).decode().partition(":")
    host, _, name = uri.partition("/")
    return _Repository(host=_other(env) or host, name=name, user=user, password=password)


def _other(env: Mapping[str, str]) -> str | None:
    host = env.get(REGISTRY)
    if host and not _HOST.fullmatch(host):
        raise UsageError(
            f"{host!r} is not a registry's host ({REGISTRY}).",
            remedy=f"Set {REGISTRY} like 127.0.0.1:5000, or unset it.",
        )
    return host


@contextmanager
def _opened(where: _Repository) -> Iterator[Distribution]:
    """The registry; whatever it or the engine says of it is told without the account's number."""
    tls = not where.host.startswith(_LOOPBACK)
    http = Distribution(where.host, auth=(where.user, where.password), tls=tls)
    try:
        yield http
    except (ImageNotFoundError, DiskFullError):
        raise
    except EngineError as error:
        # From None: the engine's own words name the registry, and with it the account.
        denied = _FORBIDDEN.search(error.what) is not None
        raise AwsError(redacted(error.what), remedy=_ALLOW if denied else _AGAIN) from None
    finally:
        http.close()


def _found(http: Distribution, where: _Repository, image_id: str, *, sent: bool) -> Pushed | None:
    tag = tag_of(image_id)
    held_as = http.media_type(where.name, tag)
    if held_as is None:
        return None
    manifest = http.manifest(where.name, tag)
    if manifest is None:
        return None
    try:
        refuse_unfit(manifest, held_as=held_as)
    except RegistryError as error:
        raise AwsError(redacted(error.what), remedy=error.remedy) from None
    if not manifest.is_of(image_id):
        raise AwsError(
            redacted(f"{where.address}:{tag} is another image than the engine's."),
            remedy="Somebody else pushed it: delete that tag in ECR and run it again.",
        )
    return Pushed(
        image=f"{where.address}@{manifest.digest}",
        digest=manifest.digest,
        compressed_bytes=manifest.compressed_bytes,
        sent=sent,
    )
