"""What stands between a request's body and a model's tensors: one task for each kind of model.

A model's card names its task. ``image-classification`` and ``tensors`` are the service's own; for
any other name the model's archive brings ``code/task.py``, which defines a class ``Task`` with the
interface below, as SageMaker's own toolkits take ``code/inference.py``. Like these, it runs with
all that the container may do: serve archives of people you trust.

A task uses the standard library and what the image has; ``onnx-slim`` has no NumPy.
"""

from app.errors import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import ClassVar, Protocol

    from app.card import Card
    from app.settings import Settings

Tensor = tuple[tuple[int, ...], bytes]
"""Shape and numbers, row by row, of the type that the card says."""

_IMAGES, _TENSORS = "image-classification", "tensors"


class Feature:
    """Something that is noted of every instance: a metric, and a feature that may drift."""

    __slots__ = ("buckets", "drifts", "help", "metric", "name")

    def __init__(
        self,
        name: str,
        metric: str,
        help: str,  # noqa: A002  # as prometheus-client calls it
        buckets: "Sequence[float]" = (),
        *,
        drifts: bool = True,
    ) -> None:
        self.name = name
        self.metric = metric
        """``lab_inference_<this>``."""
        self.help = help
        self.buckets = buckets
        """Empty: instances are counted by the value, in the label ``answer``."""
        self.drifts = drifts
        """Whether it is compared with the model's reference."""


class Batch:
    """What a body holds, as the model takes it."""

    __slots__ = ("count", "noted", "tensors")

    def __init__(
        self, count: int, tensors: "Sequence[Tensor]", noted: "Sequence[dict[str, float]]"
    ) -> None:
        self.count = count
        """How many instances: the first dimension of every tensor."""
        self.tensors = tensors
        """One for each input of the card, in its order."""
        self.noted = noted
        """What is known of each instance before it is predicted, by feature."""


if TYPE_CHECKING:

    class Task(Protocol):
        """Made once for a model. Its methods may be called from several threads at once."""

        @property
        def taken(self) -> Sequence[str]:
            """Content types of bodies that ``decode`` knows; told to who sends another."""

        @property
        def given(self) -> Sequence[str]:
            """Content types of answers that ``encode`` knows, the most usual first."""

        features: ClassVar[Sequence[Feature]]
        """What is noted of every instance."""

        def __init__(self, card: Card, settings: Settings) -> None:
            """Raises ``ValueError`` for a card that does not fit."""

        def decode(self, kind: str, body: bytes) -> Batch:
            """A body of type ``kind``; raises ``RequestError`` 400 or 413."""

        def encode(
            self, kind: str, outputs: Sequence[Tensor], batch: Batch, *, prediction_s: float
        ) -> tuple[bytes, Sequence[dict[str, float]]]:
            """A body of type ``kind``, and the features of each instance, by name.

            ``outputs`` are the model's, in the card's order.
            """


def task_class(card: "Card", model_dir: str) -> "type[Task]":
    """Import what the card's task needs; raises ``StartError``."""
    if card.task == _IMAGES:
        from .image_classification import ImageClassification

        return ImageClassification
    if card.task == _TENSORS:
        from .tensors import Tensors

        return Tensors
    path = f"{model_dir}/code/task.py"
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # pathlib costs milliseconds at start
            source = file.read()
        names: dict[str, object] = {"__name__": "task", "__file__": path}
        # Not by an import: that would leave bytecode in the model's folder.
        exec(compile(source, path, "exec"), names)  # noqa: S102  # see above
        found = names.get("Task")
    except OSError as error:
        raise StartError(
            f"The task {card.task!r} is none of the service's own ({_IMAGES}, {_TENSORS}), and "
            f"{path} cannot be read: {error.strerror}."
        ) from error
    except Exception as error:  # whatever a model's own code raises
        raise StartError(f"{path} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(found, type):
        raise StartError(f"{path} must define a class Task.")
    return found


def fit(task: "type[Task]", card: "Card", settings: "Settings") -> "Task":
    """The task for this model; raises ``StartError`` for a card that does not fit."""
    try:
        return task(card, settings)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise StartError(f"model.json does not fit the task {card.task} ({error}).") from error
