"""The one way to AWS: boto3's own chain of credentials, its calls guarded and its errors told."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import boto3
import boto3.exceptions
import botocore.session
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    UnknownRegionError,
)

from lab.aws.access.errors import CallError, translated
from lab.aws.access.permissions import guard
from lab.awserrors import ErrorKind

_CONNECT_S: Final = 10.0
_READ_S: Final = 70.0  # an invocation may take 60
_ATTEMPTS: Final = 5


@dataclass(frozen=True, kw_only=True)
class AwsIdentity:
    """Who asks, as STS says. For the terminal only: it is written to no file."""

    account: str
    arn: str
    partition: str
    """``aws``, ``aws-cn``, ``aws-us-gov``."""
    region: str
    profile: str | None

    @property
    def is_root(self) -> bool:
        """Whether these are the account's own credentials, which should not be used."""
        return self.arn.endswith(":root")


class AwsSession:
    """Clients of one identity in one region. Safe to use from several threads.

    Each call is held against the list of permissions before it leaves; while ``read_only``,
    calls that change anything are refused as bugs.
    """

    def __init__(
        self, *, core: botocore.session.Session, profile: str | None, read_only: bool
    ) -> None:
        self.profile = profile
        self.read_only = read_only
        self._core = core
        self._boto = boto3.Session(botocore_session=core)
        self._lock = threading.Lock()
        self._made: dict[tuple[str, int | None], Any] = {}
        self._identity: AwsIdentity | None = None

    @property
    def region(self) -> str:
        return str(self._boto.region_name)

    @property
    def account(self) -> str:
        """Whose: twelve digits, never written down. Raises ``CallError``."""
        return self.identity().account

    def allow_writing(self) -> None:
        """The user has agreed to the plan."""
        self.read_only = False

    def identity(self) -> AwsIdentity:
        """Who asks; asked once. Raises ``CallError``."""
        if self._identity is None:
            said = self._who()
            arn = str(said["Arn"])
            self._identity = AwsIdentity(
                account=str(said["Account"]),
                arn=arn,
                partition=arn.split(":")[1],
                region=self.region,
                profile=self.profile,
            )
        return self._identity

    def _who(self) -> Any:
        doing = "Asking AWS who this is"
        try:
            return self.call("sts", "get_caller_identity", doing=doing)
        except CallError as error:
            if error.kind is not ErrorKind.CONNECTION or self.region in self._regions():
                raise
            # A region that is none has no address, which looks like a network that is down.
            with self.translating(doing):
                raise UnknownRegionError(
                    region_name=self.region, error_msg="boto3 knows none"
                ) from None

    def _regions(self) -> frozenset[str]:
        return frozenset(
            region
            for partition in self._core.get_available_partitions()
            for region in self._core.get_available_regions("sagemaker", partition)
        )

    def call(self, service: str, operation: str, *, doing: str = "", **parameters: Any) -> Any:
        """An operation of boto3's client, by its Python name: ``call("ecr", "list_images", ...)``.

        Raises ``CallError``; ``doing`` begins its message.
        """
        with self.translating(doing or f"{service} {operation}", service=service):
            return getattr(self.client(service), operation)(**parameters)

    def find(
        self, service: str, operation: str, *, doing: str = "", **parameters: Any
    ) -> Mapping[str, Any] | None:
        """The same for what may not be there: then None."""
        try:
            found: Mapping[str, Any] = self.call(service, operation, doing=doing, **parameters)
        except CallError as error:
            if error.kind is ErrorKind.ABSENT:
                return None
            raise
        return found

    def every(
        self, service: str, operation: str, key: str, *, doing: str = "", **parameters: Any
    ) -> Sequence[Any]:
        """All pages of a listing: what is under ``key`` in each."""
        with self.translating(doing or f"{service} {operation}", service=service):
            pages = self.client(service).get_paginator(operation).paginate(**parameters)
            return [one for page in pages for one in page.get(key) or ()]

    def client(self, service: str, *, attempts: int | None = None) -> Any:
        """boto3's client; use it within ``translating``.

        ``attempts`` 1 hides no retry, for what is measured; None is the session's patience.
        """
        key = (service, attempts)
        with self._lock:
            if key not in self._made:
                with self.translating(f"Setting up {service}", service=service):
                    self._made[key] = self._make(service, attempts)
            return self._made[key]

    @contextmanager
    def translating(self, doing: str, *, service: str = "") -> Iterator[None]:
        """What boto3 raises within becomes ``CallError`` that begins with ``doing``."""
        with translated(doing, service=service, profile=self.profile, region=self.region):
            try:
                yield
            except boto3.exceptions.Boto3Error as error:
                # Its transfers put what happened into the words, and keep it as the context.
                inner = error.__cause__ or error.__context__
                if isinstance(inner, (ClientError, BotoCoreError)):
                    raise inner from None
                raise

    def credentials(self) -> Credentials:
        """To sign with. Raises ``CallError`` where there are none."""
        with self.translating("Finding credentials"):
            found = self._core.get_credentials()
            if found is None:
                raise NoCredentialsError
            return found

    def own_address(self, service: str) -> str:
        """AWS's own URL of a service, whatever ``AWS_ENDPOINT_URL`` says."""
        with self.translating(f"Setting up {service}", service=service):
            own = Config(ignore_configured_endpoint_urls=True)
            client = self._boto.client(service, config=own)
            try:
                return str(client.meta.endpoint_url)
            finally:
                client.close()

    def close(self) -> None:
        """Let go of the connections."""
        with self._lock:
            for client in self._made.values():
                client.close()
            self._made.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _make(self, service: str, attempts: int | None) -> Any:
        given = attempts or self._core.get_config_variable("max_attempts")
        client = self._boto.client(
            service,
            config=Config(
                connect_timeout=_CONNECT_S,
                read_timeout=_READ_S,
                # A load comes from many threads.
                max_pool_connections=64,
                retries={"mode": "standard", "total_max_attempts": int(given or _ATTEMPTS)},
                user_agent_extra="inference-lab",
            ),
        )
        # Not of the session's events: its providers of credentials make calls of their own.
        client.meta.events.register("before-call", self._guard)
        return client

    def _guard(self, model: Any, **_: Any) -> None:
        guard(model.service_model.service_name, model.name, read_only=self.read_only)


def open_session(
    *, profile: str | None = None, region: str | None = None, read_only: bool = False
) -> AwsSession:
    """A session by boto3's own chain: variables, profiles, SSO, roles, the machine's role.

    Nothing is sent yet. Raises ``CallError`` for a profile that does not exist and for no region.
    AWS's own variables, ``AWS_ENDPOINT_URL`` too, are honoured by botocore.
    """
    with translated("Setting up AWS", profile=profile, region=region):
        core = botocore.session.Session(profile=profile)
        chosen = region or core.get_config_variable("region")
        used = core.get_config_variable("profile")
        if not chosen:
            raise NoRegionError
        core.set_config_variable("region", chosen)
        # Found now, so that a broken file is told before anything else.
        credentials = core.get_credentials()
        if credentials is None:
            raise NoCredentialsError
    return AwsSession(core=core, profile=profile or used, read_only=read_only)
