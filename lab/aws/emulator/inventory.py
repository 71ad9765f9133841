"""What exists on the lab's emulator under a deployment's names, and whose it is: only read."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.aws.model import (
    TAG_ENDPOINT,
    TAG_MANAGED,
    Artifacts,
    AwsError,
    CloudResource,
    DeploymentNames,
    ServingKind,
)
from lab.aws.stack.inventory import KINDS, LISTED
from lab.aws.stack.state import is_tagged
from lab.aws.stack.template import is_release
from lab.endpoint.client import EmulatorClient
from lab.endpoint.records import Status
from lab.errors import LabError
from lab.progress import Progress

BUCKET: Final = "S3 bucket"
ENDPOINT: Final = "SageMaker endpoint"


@dataclass(frozen=True, kw_only=True)
class Emulated:
    """One deployment on one emulator. Raises ``EndpointError``."""

    client: EmulatorClient
    names: DeploymentNames
    poll_s: float
    wait_s: float

    def resources(self) -> Iterator[CloudResource]:
        """All that is there, whosever it is."""
        if self.has_bucket():
            yield CloudResource(kind=BUCKET, name=self.names.bucket)
        for type_ in LISTED:
            for name, _ in self._releases(type_):
                yield CloudResource(kind=KINDS[type_][0], name=name)
        if self.endpoint() is not None:
            yield CloudResource(kind=ENDPOINT, name=self.names.endpoint)

    def foreign(self, found: Sequence[CloudResource]) -> Sequence[CloudResource]:
        """Those of them that do not carry our tags."""
        ours = {
            name for type_ in LISTED for name, arn in self._releases(type_) if self._is_ours(arn)
        }
        endpoint = self.endpoint()
        if endpoint and self._is_ours(endpoint["EndpointArn"]):
            ours.add(self.names.endpoint)
        bucket = self.client.s3("get_bucket_tagging", Bucket=self.names.bucket) or {}
        if is_tagged(bucket.get("TagSet", ()), self.names.endpoint):
            ours.add(self.names.bucket)
        return [resource for resource in found if resource.name not in ours]

    def unused(self, keep: set[str]) -> Sequence[tuple[str, Mapping[str, str]]]:
        """Our configurations and models but those to keep: how to say ``delete_...``, and what."""
        return [
            (operation.replace("list_", "delete_").removesuffix("s"), {KINDS[type_][1]: name})
            for type_, (operation, _) in reversed(LISTED.items())  # a configuration names its model
            for name, arn in self._releases(type_)
            if name not in keep and self._is_ours(arn)
        ]

    def has_bucket(self) -> bool:
        """Whether a bucket of that name is there."""
        return self.client.s3("head_bucket", Bucket=self.names.bucket) is not None

    # --- the endpoint ----------------------------------------------------------------------------

    def endpoint(self) -> Mapping[str, Any] | None:
        return self.client.find("describe_endpoint", EndpointName=self.names.endpoint)

    def own_endpoint(self) -> Mapping[str, Any] | None:
        """The same. Raises ``AwsError`` if it is not ours."""
        seen = self.endpoint()
        if seen is not None and not self._is_ours(seen["EndpointArn"]):
            raise AwsError(
                f"The endpoint {self.names.endpoint} belongs to somebody else: it lacks the tags "
                f"{TAG_MANAGED}=true and {TAG_ENDPOINT}.",
                remedy="Choose another --endpoint.",
            )
        return seen

    def served(self) -> tuple[str, str]:
        """The names of the configuration and the model that it serves; empty for none."""
        config = str((self.endpoint() or {}).get("EndpointConfigName", ""))
        return config, str(self._variant(config).get("ModelName", ""))

    def hosting(self) -> ServingKind | None:
        """How it is hosted."""
        variant = self._variant(self.served()[0])
        if not variant:
            return None
        return ServingKind.SERVERLESS if "ServerlessConfig" in variant else ServingKind.REAL_TIME

    def artifacts(self) -> Artifacts | None:
        name = self.served()[1]
        model = self.client.find("describe_model", ModelName=name) if name else None
        if model is None:
            return None
        container = model["PrimaryContainer"]
        return Artifacts(image=container["Image"], model_data=container["ModelDataUrl"])

    def waited(self, progress: Progress) -> Mapping[str, Any] | None:
        """It, once nothing is under way; None when it is gone. Raises ``AwsError``."""
        deadline = time.monotonic() + self.wait_s
        told = False
        try:
            while (seen := self.endpoint()) and Status(seen["EndpointStatus"]).under_way:
                if not told and (said := self.client.troubles(seen)):
                    told = True
                    progress.note(f"{self.names.endpoint}: {said[0]}")
                if time.monotonic() > deadline:
                    raise AwsError(
                        f"{self.names.endpoint} is still {seen['EndpointStatus']} "
                        f"after {self.wait_s:g} s.",
                        remedy=f"See `lab endpoint logs {self.names.endpoint}`.",
                    )
                time.sleep(self.poll_s)
        except (KeyboardInterrupt, LabError):
            progress.note(
                f"The emulator goes on with {self.names.endpoint}. The same command takes it up "
                "again; `lab push destroy` removes everything."
            )
            raise
        return seen

    def last_lines(self, count: int) -> Sequence[str]:
        """What its containers wrote last; none when there are no containers any more."""
        try:
            return list(self.client.logs(self.names.endpoint, lines=count, follow=False))
        except LabError:
            return []

    # --- asking ----------------------------------------------------------------------------------

    def _variant(self, config: str) -> Mapping[str, Any]:
        if not config:
            return {}
        found = self.client.find("describe_endpoint_config", EndpointConfigName=config)
        variant: Mapping[str, Any] = found["ProductionVariants"][0] if found else {}
        return variant

    def _releases(self, type_: str) -> Sequence[tuple[str, str]]:
        """The names and ARNs of this endpoint's models or configurations, whosever they are."""
        named_by = KINDS[type_][1]
        rows = self.client.every(*LISTED[type_], NameContains=self.names.endpoint)
        return [
            (row[named_by], row[f"{named_by.removesuffix('Name')}Arn"])
            for row in rows
            if is_release(row[named_by], self.names)
        ]

    def _is_ours(self, arn: str) -> bool:
        found = self.client.find("list_tags", ResourceArn=arn) or {}
        return is_tagged(found.get("Tags", ()), self.names.endpoint)
