"""The control plane: SageMaker's hosting operations on the store, without HTTP."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from lab.endpoint.clock import Clock
from lab.endpoint.control.context import Arns, ControlContext
from lab.endpoint.control.endpoints import Endpoints
from lab.endpoint.control.resources import EndpointConfigs, Models
from lab.endpoint.control.tags import Tagging
from lab.endpoint.instances import Machine
from lab.endpoint.live import Fleet
from lab.endpoint.protocol.errors import ApiError
from lab.endpoint.protocol.shapes import knows, validate
from lab.endpoint.settings import EmulatorSettings
from lab.endpoint.store import SqliteStore

Operation = Callable[[Mapping[str, Any]], Mapping[str, Any]]

UNKNOWN: Final = "UnknownOperationException"


class Control:
    """Answers each operation at once; what takes time is left to the fleet."""

    def __init__(
        self,
        *,
        store: SqliteStore,
        fleet: Fleet,
        clock: Clock,
        settings: EmulatorSettings,
        machine: Machine,
    ) -> None:
        context = ControlContext(
            store=store,
            fleet=fleet,
            clock=clock,
            names=Arns(region=settings.region, account=settings.account),
            machine=machine,
        )
        models = Models(context)
        configs = EndpointConfigs(context)
        endpoints = Endpoints(context)
        tags = Tagging(context)
        self._operations: Mapping[str, Operation] = {
            "CreateModel": models.create,
            "DescribeModel": models.describe,
            "ListModels": models.list,
            "DeleteModel": models.delete,
            "CreateEndpointConfig": configs.create,
            "DescribeEndpointConfig": configs.describe,
            "ListEndpointConfigs": configs.list,
            "DeleteEndpointConfig": configs.delete,
            "CreateEndpoint": endpoints.create,
            "DescribeEndpoint": endpoints.describe,
            "ListEndpoints": endpoints.list,
            "DeleteEndpoint": endpoints.delete,
            "UpdateEndpoint": endpoints.update,
            "UpdateEndpointWeightsAndCapacities": endpoints.scale,
            "AddTags": tags.add,
            "ListTags": tags.list,
            "DeleteTags": tags.delete,
        }

    def call(self, operation: str, body: object) -> Mapping[str, Any]:
        """The answer's members; times as seconds since the epoch. Raises ``ApiError``."""
        perform = self._operations.get(operation)
        if perform is None:
            raise self._unknown(operation)
        return perform(validate(operation, body))

    def _unknown(self, operation: str) -> ApiError:
        if knows(operation):
            emulated = ", ".join(sorted(self._operations))
            return ApiError(
                UNKNOWN, f"The lab does not emulate {operation} of SageMaker, only: {emulated}."
            )
        return ApiError(UNKNOWN, f"SageMaker has no operation {operation!r}.")
