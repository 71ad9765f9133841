"""Models: an image, a model archive and an environment, under a name."""

from collections.abc import Mapping
from typing import Any, Final

from lab.endpoint.control.context import ControlContext
from lab.endpoint.control.paging import page
from lab.endpoint.control.tags import given
from lab.endpoint.protocol.errors import validation_exception
from lab.endpoint.records import Resource

_ENVIRONMENT_BYTES: Final = 32 * 1024
_DROPPED: Final = frozenset({"Tags"})


class Models:
    """``CreateModel``, ``DescribeModel``, ``ListModels``, ``DeleteModel``."""

    def __init__(self, desk: ControlContext) -> None:
        self._desk = desk

    def create(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Remember it. Nothing is looked at yet: neither the image nor the archive."""
        desk, name = self._desk, asked["ModelName"]
        tags = given(asked.get("Tags", ()))
        body = {key: value for key, value in asked.items() if key not in _DROPPED}
        containers = _containers(body)
        _check(containers)
        if "PrimaryContainer" in body:
            body["PrimaryContainer"] = containers[0]
        else:
            body["Containers"] = containers
        row = Resource(
            name=name,
            arn=desk.names.arn("model", name),
            created_at=desk.clock.time(),
            body={"EnableNetworkIsolation": False, **body},
        )
        with desk.store.transaction():
            if not desk.store.put_model(row):
                raise desk.taken("model", name)
            desk.store.set_tags(row.arn, tags)
        return {"ModelArn": row.arn}

    def describe(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """As it was made, with what was left to its default."""
        row = self._desk.model(asked["ModelName"])
        return {**row.body, "ModelArn": row.arn, "CreationTime": row.created_at}

    def list(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """A page of summaries."""
        rows, more = page(
            self._desk.store.models(),
            asked,
            sort_by={"Name": lambda row: row.name, "CreationTime": lambda row: row.created_at},
        )
        models = [
            {"ModelName": row.name, "ModelArn": row.arn, "CreationTime": row.created_at}
            for row in rows
        ]
        return {"Models": models} | ({} if more is None else {"NextToken": more})

    def delete(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Forget it, in use or not."""
        if not self._desk.store.delete_model(asked["ModelName"]):
            raise self._desk.missing("model", asked["ModelName"])
        return {}


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
