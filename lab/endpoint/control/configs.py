"""Endpoint configurations: which models are hosted how, under a name; never changed."""

from collections.abc import Mapping
from typing import Any, Final

from lab.endpoint.control.context import ControlContext
from lab.endpoint.control.paging import page
from lab.endpoint.control.rules import check_config
from lab.endpoint.control.tags import given
from lab.endpoint.plans import variants_of
from lab.endpoint.records import Resource

_DROPPED: Final = frozenset({"Tags"})
_VARIANTS: Final = ("ProductionVariants", "ShadowProductionVariants")


class EndpointConfigs:
    """``CreateEndpointConfig``, ``DescribeEndpointConfig``, and so on."""

    def __init__(self, desk: ControlContext) -> None:
        self._desk = desk

    def create(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Remember it, once its models are there and its rules are kept."""
        desk, name = self._desk, asked["EndpointConfigName"]
        tags = given(asked.get("Tags", ()))
        body = {key: value for key, value in asked.items() if key not in _DROPPED}
        for key in _VARIANTS:
            if key in body:
                body[key] = [{"InitialVariantWeight": 1.0, **variant} for variant in body[key]]
        row = Resource(
            name=name,
            arn=desk.names.arn("endpoint-config", name),
            created_at=desk.clock.time(),
            body=body,
        )
        with desk.store.transaction():
            if desk.store.config(name) is not None:
                raise desk.taken("endpoint-config", name)
            check_config(body, self._models(body))
            desk.store.put_config(row)
            desk.store.set_tags(row.arn, tags)
        return {"EndpointConfigArn": row.arn}

    def describe(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """As it was made, with what was left to its default."""
        row = self._desk.config(asked["EndpointConfigName"])
        return {**row.body, "EndpointConfigArn": row.arn, "CreationTime": row.created_at}

    def list(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """A page of summaries."""
        rows, more = page(
            self._desk.store.configs(),
            asked,
            sort_by={"Name": lambda row: row.name, "CreationTime": lambda row: row.created_at},
        )
        configs = [
            {
                "EndpointConfigName": row.name,
                "EndpointConfigArn": row.arn,
                "CreationTime": row.created_at,
            }
            for row in rows
        ]
        return {"EndpointConfigs": configs} | ({} if more is None else {"NextToken": more})

    def delete(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Forget it, in use or not: endpoints keep what they were made from."""
        name = asked["EndpointConfigName"]
        if not self._desk.store.delete_config(name):
            raise self._desk.missing("endpoint-config", name)
        return {}

    def _models(self, body: Mapping[str, Any]) -> Mapping[str, Resource]:
        names = [variant["ModelName"] for variant in variants_of(body) if "ModelName" in variant]
        return {name: self._desk.model(name) for name in names}
