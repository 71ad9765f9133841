"""The same push, to the lab's own emulator: the part of the template that the emulator knows.

The emulator has SageMaker and an S3, and no stacks: what CloudFormation does with the template on
AWS is done here, with the same parameters and names.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lab.aws.emulator.inventory import BUCKET, ENDPOINT, Emulated
from lab.aws.model import (
    TAG_ENDPOINT,
    Action,
    Artifacts,
    AwsError,
    Deployment,
    DeploymentNames,
    Kept,
    Order,
    PlanItem,
    Removal,
    tag_list,
)
from lab.aws.stack import changes, removal, template
from lab.aws.stack.events import LOG_LINES, MEND, container_said
from lab.aws.stack.inventory import KINDS
from lab.aws.stack.state import refuse_other_hosting
from lab.aws.stack.template import TemplateResource
from lab.endpoint.client import EmulatorClient
from lab.endpoint.records import Status
from lab.progress import Progress

POLL_S: Final = 0.25
WAIT_S: Final = 900.0

_PARTS: Final = ("Bucket", "Model", "EndpointConfig", "Endpoint")
"""Of the template, what the emulator has."""


class LocalStack:
    """A ``Deployer`` to the emulator. Raises ``EndpointError`` besides."""

    def __init__(
        self,
        client: EmulatorClient,
        names: DeploymentNames,
        *,
        content: str = "",
        poll_s: float = POLL_S,
        wait_s: float = WAIT_S,
    ) -> None:
        """``content`` is the engine's id of the image, so that a rebuilt one is another one."""
        self.names = names
        self._client = client
        self._content = content
        self._emulated = Emulated(client=client, names=names, poll_s=poll_s, wait_s=wait_s)

    def plan(self, order: Order, artifacts: Artifacts | None = None) -> Sequence[PlanItem]:
        """See ``Deployer``. What the emulator does not have is listed as left out."""
        endpoint = self._emulated.own_endpoint()
        self._refuse_other_hosting(order)
        config, model = self._emulated.served()
        before = {
            "Bucket": self.names.bucket if self._emulated.has_bucket() else "",
            "Model": model,
            "EndpointConfig": config,
            "Endpoint": self.names.endpoint if endpoint else "",
        }
        wanted = self._rendered(order, artifacts or self._emulated.artifacts() or changes.NOT_YET)
        detail = ""
        if endpoint and endpoint["EndpointStatus"] != Status.IN_SERVICE:
            detail = f"is {endpoint['EndpointStatus']}"
        elif wanted["Endpoint"].properties["EndpointConfigName"] != config:
            detail = changes.BLUE_GREEN
        return [_item(one, before.get(one.logical), change=detail) for one in wanted.values()]

    def prepare(self, order: Order, progress: Progress) -> None:
        """See ``Deployer``: the bucket on the emulator's S3."""
        self._emulated.own_endpoint()
        if self._client.ensure_bucket(self.names.bucket):
            self._client.s3(
                "put_bucket_tagging", Bucket=self.names.bucket, Tagging={"TagSet": tag_list(order)}
            )
        wanted = self._rendered(order, changes.NOT_YET).values()
        missing = sorted({KINDS[one.type][0] for one in wanted if one.logical not in _PARTS})
        progress.note(f"Not on the emulator, and left out: {', '.join(missing)}.")

    def deploy(self, order: Order, artifacts: Artifacts, progress: Progress) -> Deployment:
        endpoint = self._settled(progress)
        self._refuse_other_hosting(order)
        if endpoint and endpoint["EndpointStatus"] == Status.FAILED:
            progress.note(f"{self.names.endpoint} had failed: making it anew.")
            self._delete_endpoint(progress)
            endpoint = None
        wanted = self._rendered(order, artifacts)
        config = wanted["Endpoint"].properties["EndpointConfigName"]
        changed = endpoint is None or endpoint["EndpointConfigName"] != config
        if changed:
            self._make(wanted, order)
            self._serve(wanted["Endpoint"], order, progress, update=endpoint is not None)
        self._tidy()
        return Deployment(
            names=self.names,
            region=self._client.addresses.region,
            changed=changed,
            artifacts=artifacts,
        )

    def destroy(self, progress: Progress) -> Removal:
        """See ``Deployer``: only what carries our tags."""
        before = tuple(self._emulated.resources())
        foreign = self._emulated.foreign(before)
        ours = {resource.kind for resource in before if resource not in foreign}
        if ENDPOINT in ours:
            self._settled(progress)
            self._delete_endpoint(progress)
        for operation, named in self._emulated.unused(keep=set()):
            self._client.call(operation, **named)
        if BUCKET in ours:
            removal.empty(self._client.s3, self.names.bucket, progress)
            self._client.s3("delete_bucket", Bucket=self.names.bucket)
        after = tuple(self._emulated.resources())
        return Removal(
            removed=tuple(resource for resource in before if resource not in after),
            kept=tuple(
                Kept(
                    resource=resource,
                    why=f"it has no tag {TAG_ENDPOINT} of this endpoint"
                    if resource in foreign
                    else "it is still there",
                )
                for resource in after
            ),
        )

    # --- steps -----------------------------------------------------------------------------------

    def _make(self, wanted: Mapping[str, TemplateResource], order: Order) -> None:
        """Model and configuration. Their names say what they are: one that is there is right."""
        for logical, what in (("Model", "model"), ("EndpointConfig", "endpoint_config")):
            said = wanted[logical].properties
            named_by = f"{logical}Name"
            if self._client.find(f"describe_{what}", **{named_by: said[named_by]}) is None:
                self._client.call(f"create_{what}", Tags=tag_list(order), **said)

    def _serve(
        self, wanted: TemplateResource, order: Order, progress: Progress, *, update: bool
    ) -> None:
        name, config = self.names.endpoint, wanted.properties["EndpointConfigName"]
        with progress.step(f"{'Updating' if update else 'Making'} the endpoint {name}"):
            if update:
                self._client.call("update_endpoint", **wanted.properties)
            else:
                said = {"EndpointName": name, "EndpointConfigName": config}
                self._client.call("create_endpoint", Tags=tag_list(order), **said)
            seen = self._emulated.waited(progress) or {"EndpointStatus": "gone"}
        still = seen["EndpointStatus"] == Status.IN_SERVICE
        if still and seen["EndpointConfigName"] == config:
            if update:
                self._client.call("add_tags", ResourceArn=seen["EndpointArn"], Tags=tag_list(order))
            return
        # The logs go with the containers, and these with the endpoint.
        what, cure = self._failure(seen, still=still)
        if not still:
            self._delete_endpoint(progress)
        self._tidy()
        raise AwsError(what, remedy=f"{cure}{MEND}")

    def _failure(self, seen: Mapping[str, Any], *, still: bool) -> tuple[str, str]:
        reason = str(seen.get("FailureReason", "The emulator gave no reason."))
        logs, cure = container_said(self._emulated.last_lines(LOG_LINES))
        left = "What was served before still is." if still else "It was taken back."
        return "\n".join(["The endpoint could not be deployed.", f"  {reason}", *logs, left]), cure

    def _settled(self, progress: Progress) -> Mapping[str, Any] | None:
        seen = self._emulated.own_endpoint()
        if seen is None or not Status(seen["EndpointStatus"]).under_way:
            return seen
        progress.note(f"{self.names.endpoint} is {seen['EndpointStatus']}. Waiting for it.")
        return self._emulated.waited(progress)

    def _delete_endpoint(self, progress: Progress) -> None:
        with progress.step(f"Deleting the endpoint {self.names.endpoint}"):
            if self._emulated.endpoint() is not None:
                self._client.call("delete_endpoint", EndpointName=self.names.endpoint)
            self._emulated.waited(progress)

    def _tidy(self) -> None:
        """Remove our models and configurations that nothing serves any more."""
        for operation, named in self._emulated.unused(keep=set(self._emulated.served())):
            self._client.call(operation, **named)

    def _refuse_other_hosting(self, order: Order) -> None:
        is_now = self._emulated.hosting()
        if is_now is not None:
            refuse_other_hosting(order, is_now=is_now.value)

    def _rendered(self, order: Order, artifacts: Artifacts) -> Mapping[str, TemplateResource]:
        at = self._client.addresses
        return template.render(
            template.parameters(order, self.names, artifacts, content=self._content),
            template.pseudo(account=at.account, region=at.region),
        )


def _item(wanted: TemplateResource, before: str | None, *, change: str) -> PlanItem:
    """``before`` is what it is called now: empty for nothing, None for what cannot be.

    ``change`` is what will happen to an endpoint that is there; empty for nothing.
    """
    kind, named_by = KINDS[wanted.type]
    name, detail = str(wanted.properties[named_by]), changes.detail(wanted)
    action = Action.KEEP
    if before is None:
        detail = "not on the emulator: left out"
    elif not before:
        action = Action.CREATE
    elif before != name:
        action, detail = Action.CHANGE, f"replaces {before}"
    elif kind == ENDPOINT and change:
        action, detail = Action.CHANGE, change
    return PlanItem(kind=kind, name=name, action=action, detail=detail)
