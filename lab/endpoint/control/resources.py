"""Models and endpoint configurations: made, described, listed and deleted, but never changed."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from lab.endpoint.control import unemulated
from lab.endpoint.control.artifacts import (
    Artifacts,
    check_image_name,
    check_role,
)
from lab.endpoint.control.context import ControlContext
from lab.endpoint.control.paging import page
from lab.endpoint.control.rules import check_config
from lab.endpoint.control.tags import tags_of
from lab.endpoint.modeldata import data_problem
from lab.endpoint.plans import variants_of
from lab.endpoint.protocol.errors import validation_exception
from lab.endpoint.records import Resource, ResourceKind

_ENVIRONMENT_BYTES: Final = 32 * 1024


class _ResourceTable:
    """What both have in common."""

    kind: ClassVar[ResourceKind]
    member: ClassVar[str]
    """Before ``Name`` and ``Arn`` in requests and answers."""

    def __init__(self, context: ControlContext) -> None:
        self._context = context

    def _row(self, asked: Mapping[str, Any], body: Mapping[str, Any]) -> Resource:
        name = asked[f"{self.member}Name"]
        return Resource(
            name=name,
            arn=self._context.names.arn(self.kind, name),
            created_at=self._context.clock.time(),
            body={key: value for key, value in body.items() if key != "Tags"},
        )

    def _put(self, row: Resource, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        tags = tags_of(asked.get("Tags", ()))
        if not self._context.store.put(self.kind, row):
            raise self._context.taken(self.kind, row.name)
        self._context.store.set_tags(row.arn, tags)
        return {f"{self.member}Arn": row.arn}

    def describe(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """As it was made, with what was left to its default."""
        row = self._context.resource(self.kind, asked[f"{self.member}Name"])
        return {**row.body, f"{self.member}Arn": row.arn, "CreationTime": row.created_at}

    def list(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """A page of summaries."""
        return page(
            self._context.store.resources(self.kind),
            asked,
            member=f"{self.member}s",
            summary=lambda row: {
                f"{self.member}Name": row.name,
                f"{self.member}Arn": row.arn,
                "CreationTime": row.created_at,
            },
        )

    def delete(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Forget it, in use or not: endpoints keep what they were made from."""
        name = asked[f"{self.member}Name"]
        if not self._context.store.delete(self.kind, name):
            raise self._context.missing(self.kind, name)
        return {}


class Models(_ResourceTable):
    """An image, a model archive and an environment, under a name."""

    kind = "model"
    member = "Model"

    def __init__(
        self, context: ControlContext, artifacts: Artifacts, *, registry: str | None
    ) -> None:
        super().__init__(context)
        self._artifacts = artifacts
        self._registry = registry

    def create(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Remember it, once its image and its data have been found. Waits for both."""
        containers = _containers(asked)
        _check(containers)
        unemulated.check_model(asked, containers)
        _check_sources(containers)
        self._check_names(asked, containers)
        self._look(asked, containers)
        body = {"EnableNetworkIsolation": False, **asked}
        if "PrimaryContainer" in body:
            body["PrimaryContainer"] = containers[0]
        else:
            body["Containers"] = containers
        with self._context.store.transaction():
            return self._put(self._row(asked, body), asked)

    def _check_names(
        self, asked: Mapping[str, Any], containers: Sequence[Mapping[str, Any]]
    ) -> None:
        name = asked["ModelName"]
        if self._context.store.resource(self.kind, name) is not None:
            raise self._context.taken(self.kind, name)
        tags_of(asked.get("Tags", ()))
        check_role(asked.get("ExecutionRoleArn"), self._context.names)
        for container in containers:
            check_image_name(container["Image"], self._context.names, self._registry)

    def _look(self, asked: Mapping[str, Any], containers: Sequence[Mapping[str, Any]]) -> None:
        role = asked.get("ExecutionRoleArn", "")
        for container in containers:
            self._artifacts.check_image(container["Image"])
            source = container.get("ModelDataSource", {}).get("S3DataSource", {})
            uri = container.get("ModelDataUrl") or source.get("S3Uri")
            if uri:
                prefix = source.get("S3DataType") == "S3Prefix"
                self._artifacts.check_data(uri, prefix=prefix, role=role)


class EndpointConfigs(_ResourceTable):
    """Which models are hosted how, under a name."""

    kind = "config"
    member = "EndpointConfig"

    def create(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Remember it, once its models are there and its rules are kept."""
        body = dict(asked)
        for key in ("ProductionVariants", "ShadowProductionVariants"):
            if key in body:
                body[key] = [{"InitialVariantWeight": 1.0, **variant} for variant in body[key]]
        if "DataCaptureConfig" in body:
            body["DataCaptureConfig"] = {"EnableCapture": True, **body["DataCaptureConfig"]}
        check_role(asked.get("ExecutionRoleArn"), self._context.names)
        row = self._row(asked, body)
        names = [variant["ModelName"] for variant in variants_of(body) if "ModelName" in variant]
        with self._context.store.transaction():
            if self._context.store.resource(self.kind, row.name) is not None:
                raise self._context.taken(self.kind, row.name)
            models = {name: self._context.resource("model", name) for name in names}
            check_config(row.body, models)
            unemulated.check_config(row.body)
            return self._put(row, asked)


def _containers(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    primary, several = body.get("PrimaryContainer"), body.get("Containers")
    if primary is not None and several is not None:
        raise validation_exception(
            "Specify one of either PrimaryContainer or Containers for model, not both."
        )
    found = [primary] if primary is not None else several
    if not found:
        raise validation_exception(
            "Specify one of either PrimaryContainer or Containers for model."
        )
    # SageMaker describes what was left out.
    return [{"Mode": "SingleModel", **container} for container in found]


def _check_sources(containers: Sequence[Mapping[str, Any]]) -> None:
    for container in containers:
        source = container.get("ModelDataSource", {}).get("S3DataSource")
        problem = source and data_problem(source)
        if problem:
            raise validation_exception(problem)


def _check(containers: list[dict[str, Any]]) -> None:
    length = 0
    for container in containers:
        if ("Image" in container) is ("ModelPackageName" in container):
            raise validation_exception(
                "Specify one of either Image and Model Data URL or ModelPackageName in container "
                "definition."
            )
        if "ModelDataUrl" in container and "ModelDataSource" in container:
            raise validation_exception(
                "Specify one of either ModelDataUrl or ModelDataSource in container definition."
            )
        if container["Mode"] == "MultiModel" and "ModelDataUrl" not in container:
            raise validation_exception("ModelDataUrl is required when Mode is MultiModel.")
        environment = container.get("Environment", {})
        length += sum(
            len(f"{key}{value}".encode(errors="replace")) for key, value in environment.items()
        )
    if length > _ENVIRONMENT_BYTES:
        raise validation_exception(
            f"The Environment of all containers is {length} bytes long; at most "
            f"{_ENVIRONMENT_BYTES} are allowed."
        )
    hostnames = [c["ContainerHostname"] for c in containers if "ContainerHostname" in c]
    if len(hostnames) != len(set(hostnames)):
        raise validation_exception("ContainerHostname must be unique among the model's containers.")
