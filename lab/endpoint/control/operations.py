"""The control plane: SageMaker's hosting operations on the store, without HTTP."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from lab.endpoint.clock import Clock
from lab.endpoint.control import unemulated
from lab.endpoint.control.artifacts import Artifacts, image_note
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

_ANNOUNCED: Final = frozenset(
    {"CreateEndpoint", "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities"}
)
UNKNOWN: Final = "UnknownOperationException"

WAITS: Final = frozenset({"CreateModel"})
"""Operations that ask others, and so are for a thread of their own: see ``Control.call``."""

_NOTED: Final = frozenset(
    {"CreateModel", "CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint"}
)

_INSTEAD: Final[Mapping[str, str]] = {
    # Of what is not emulated: what does it here, by the start of the operation's name.
    "InvokeEndpoint": "Ask sagemaker-runtime for it, at the same address.",
    "CreateInferenceComponent": "Host each model with a production variant of its own.",
    "UpdateInferenceComponent": "Host each model with a production variant of its own.",
    "CreateTransformJob": "Send the objects to an asynchronous endpoint (InvokeEndpointAsync).",
    "CreateModelPackage": "Name Image and ModelDataUrl in CreateModel.",
    "DescribeModelPackage": "Name Image and ModelDataUrl in CreateModel.",
    "CreateTrainingJob": "Upload a model.tar.gz and name it in CreateModel.",
    "CreateInferenceRecommendationsJob": "Measure with `lab endpoint bench`.",
    "Search": "Use ListModels, ListEndpointConfigs and ListEndpoints with NameContains.",
}


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
        artifacts: Artifacts,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        """``announce`` is told of an endpoint that was made or changed."""
        self._announce = announce
        context = ControlContext(
            store=store,
            fleet=fleet,
            clock=clock,
            names=Arns(region=settings.region, account=settings.account),
            machine=machine,
            most_instances=settings.max_instances,
        )
        models = Models(context, artifacts, registry=settings.registry)
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

    @property
    def emulated(self) -> Sequence[str]:
        """The operations that there are, by name."""
        return sorted(self._operations)

    def call(self, operation: str, body: object) -> Mapping[str, Any]:
        """The answer's members; times as seconds since the epoch. Raises ``ApiError``.

        At once, and on the fleet's event loop; but those of ``WAITS`` wait for others, and may be
        called in any thread.
        """
        perform = self._operations.get(operation)
        if perform is None:
            raise self._unknown(operation)
        asked = validate(operation, body)
        answer = perform(asked)
        if self._announce is not None and operation in _ANNOUNCED:
            self._announce(asked["EndpointName"])
        return answer

    def notes(self, operation: str, body: object) -> Sequence[str]:
        """What is to be said of a request that was answered: what makes no difference here, and
        what AWS would not take.
        """
        if operation not in _NOTED:
            return ()
        asked = validate(operation, body)
        containers = [asked.get("PrimaryContainer", {}), *asked.get("Containers", ())]
        images = [image_note(container["Image"]) for container in containers if container]
        return [*filter(None, images), *unemulated.ignored(asked)]

    def _unknown(self, operation: str) -> ApiError:
        if knows(operation):
            instead = _INSTEAD.get(operation)
            emulated = f"It emulates {', '.join(self.emulated)}."
            return ApiError(
                UNKNOWN,
                f"The lab does not emulate {operation} of SageMaker. {instead or emulated}",
            )
        return ApiError(UNKNOWN, f"SageMaker has no operation {operation!r}.")
