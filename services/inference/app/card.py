"""``model.json``: what the server has to know of the model that lies beside it."""

import json

from .errors import StartError

_SCHEMA = 1
_IMAGE_DIMENSIONS = 4
_CHANNELS = 3


class Card:
    """The stable part of a model's card, checked. Pixels are uint8, RGB, height by width by 3."""

    def __init__(self, name: str, height: int, width: int, labels: tuple[str, ...]) -> None:
        self.name = name
        self.height = height
        self.width = width
        self.labels = labels
        self.input_name = "image"
        self.output_name = "probabilities"
        self.reference: object = None
        """What the model's inputs and answers are usually like (``reference.read``), unchecked: a
        model can be served without, and checking it has time until the metrics are opened."""

    @property
    def image_bytes(self) -> int:
        """The size of one image as the model takes it."""
        return self.height * self.width * _CHANNELS


def read(model_dir: str) -> Card:
    """Read and check ``model.json``; raises ``StartError`` that names the file and the fault."""
    path = f"{model_dir}/model.json"
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # pathlib costs milliseconds at start
            text = file.read()
    except FileNotFoundError as error:
        raise StartError(f"{path} is missing: mount an unpacked model archive there.") from error
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return _card(json.loads(text))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        fault = f"{type(error).__name__}: {error}".replace("\n", " ")
        raise StartError(f"{path} is not a model card of schema {_SCHEMA} ({fault}).") from error


def _card(value: dict[str, object]) -> Card:
    if value["schema"] != _SCHEMA:
        raise ValueError(f"schema is {value['schema']!r}")
    taken, given, labels = value["input"], value["output"], value["labels"]
    if not isinstance(taken, dict) or not isinstance(given, dict) or not isinstance(labels, list):
        raise TypeError("input and output must be objects, labels an array")
    shape = taken["shape"]
    if len(shape) != _IMAGE_DIMENSIONS or shape[3] != _CHANNELS or taken["dtype"] != "uint8":
        raise ValueError("the input must be uint8 of [null, height, width, 3]")
    if given["shape"][-1] != len(labels):
        raise ValueError(f"{given['shape'][-1]} outputs but {len(labels)} labels")
    card = Card(str(value["name"]), int(shape[1]), int(shape[2]), tuple(map(str, labels)))
    card.input_name = str(taken["name"])
    card.output_name = str(given["name"])
    card.reference = value.get("reference")
    return card
