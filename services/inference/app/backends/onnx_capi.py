"""ONNX Runtime through its C API: no NumPy and no Python package to ship or to import.

The C API is a table of functions whose order never changes (onnxruntime_c_api.h: "the ordering of
these fields MUST not change"); the numbers below are places in that table. ctypes lets go of the
interpreter's lock during each call, so predictions run side by side and ``/ping`` is answered.
"""

import ctypes
import os
from math import prod

from app.errors import StartError

from .options import MAPPED, asked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from app.card import Card
    from app.tasks import Tensor

_API_VERSION = 12
"""Old enough for any library of the last years, new enough for all that is called here."""

_ERROR = 3
_ARENA_ALLOCATOR, _DEFAULT_MEMORY = 1, 0
_TYPES = {
    "float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7,
    "bool": 9, "float16": 10, "float64": 11, "uint32": 12, "uint64": 13,
}  # fmt: skip
"""ONNXTensorElementDataType."""

_P = ctypes.c_void_p
_FUNCTIONS = {
    "GetErrorMessage": (2, ctypes.c_char_p, (_P,)),
    "CreateEnv": (3, _P, (ctypes.c_int, ctypes.c_char_p, _P)),
    "CreateSession": (7, _P, (_P, ctypes.c_char_p, _P, _P)),
    "CreateSessionFromArray": (8, _P, (_P, _P, ctypes.c_size_t, _P, _P)),
    "Run": (9, _P, (_P, _P, _P, _P, ctypes.c_size_t, _P, ctypes.c_size_t, _P)),
    "CreateSessionOptions": (10, _P, (_P,)),
    "DisableMemPattern": (17, _P, (_P,)),
    "SetSessionGraphOptimizationLevel": (23, _P, (_P, ctypes.c_int)),
    "SetIntraOpNumThreads": (24, _P, (_P, ctypes.c_int)),
    "SetInterOpNumThreads": (25, _P, (_P, ctypes.c_int)),
    "CreateTensorWithDataAsOrtValue": (
        49,
        _P,
        (_P, _P, ctypes.c_size_t, _P, ctypes.c_size_t, ctypes.c_int, _P),
    ),
    "GetTensorMutableData": (51, _P, (_P, _P)),
    "GetDimensionsCount": (61, _P, (_P, _P)),
    "GetDimensions": (62, _P, (_P, _P, ctypes.c_size_t)),
    "GetTensorShapeElementCount": (64, _P, (_P, _P)),
    "GetTensorTypeAndShape": (65, _P, (_P, _P)),
    "CreateCpuMemoryInfo": (69, _P, (ctypes.c_int, ctypes.c_int, _P)),
    "ReleaseStatus": (93, None, (_P,)),
    "ReleaseValue": (96, None, (_P,)),
    "ReleaseTensorTypeAndShapeInfo": (99, None, (_P,)),
    "ReleaseSessionOptions": (100, None, (_P,)),
    "AddSessionConfigEntry": (130, _P, (_P, ctypes.c_char_p, ctypes.c_char_p)),
}


class _Api:
    """The functions of the table that are used, by name."""

    def __init__(self, library: str) -> None:
        try:
            base = ctypes.CDLL(library).OrtGetApiBase
        except (OSError, AttributeError) as error:
            raise StartError(
                f"ONNX Runtime cannot be loaded from {library} ({error}): set LAB_ORT_LIBRARY."
            ) from error
        base.restype = ctypes.POINTER(_P)
        get_api = ctypes.CFUNCTYPE(ctypes.POINTER(_P), ctypes.c_uint32)(base()[0] or 0)
        table = get_api(_API_VERSION)
        if not table:
            raise StartError(f"{library} does not offer version {_API_VERSION} of its API.")
        self._functions: dict[str, Any] = {
            name: ctypes.CFUNCTYPE(result, *arguments)(table[place] or 0)
            for name, (place, result, arguments) in _FUNCTIONS.items()
        }

    def __getitem__(self, name: str) -> "Any":
        return self._functions[name]

    def call(self, name: str, *arguments: object) -> None:
        """Call a function that answers with a status; raises ``RuntimeError`` if it is bad."""
        status = self._functions[name](*arguments)
        if status:
            message = self._functions["GetErrorMessage"](status).decode(errors="replace")
            self._functions["ReleaseStatus"](status)
            raise RuntimeError(" ".join(message.split()))

    def make(self, name: str, *arguments: object) -> _P:
        """Call a function whose last argument is where to put what it makes."""
        made = _P()
        self.call(name, *arguments, ctypes.byref(made))
        return made


class CapiBackend:
    """A session of the C API. Its memory is the process's: it lives as long as the service."""

    def __init__(self, api: _Api, session: _P, memory: _P, card: "Card") -> None:
        self._api = api
        self._session = session
        self._memory = memory
        self._card = card
        self._inputs = _names([one.name for one in card.inputs])
        self._outputs = _names([one.name for one in card.outputs])
        in_batches = all(one.batched for one in card.inputs)
        self._told = [
            in_batches and one.batched and None not in one.shape[1:] for one in card.outputs
        ]
        """Of which outputs a batch's size tells the shape before the run."""
        self._create = api["CreateTensorWithDataAsOrtValue"]
        self._release = api["ReleaseValue"]

    def predict(self, tensors: "Sequence[Tensor]") -> "Sequence[Tensor]":
        """See ``Backend``. Tensors lie in Python's memory, so that nothing is copied, but for
        outputs whose shape only the run can tell.
        """
        card = self._card
        inputs = (_P * len(card.inputs))()
        outputs = (_P * len(card.outputs))()
        room: list[Any] = []
        try:
            for at, (spec, (shape, data)) in enumerate(zip(card.inputs, tensors, strict=True)):
                if len(data) < prod(shape) * spec.item_bytes:
                    raise ValueError(f"{len(data)} bytes are too few for {shape} of {spec.dtype}")
                memory = ctypes.cast(ctypes.c_char_p(data), _P)
                inputs[at] = self._tensor(memory, len(data), shape, spec.dtype)
            for at, spec in enumerate(card.outputs):
                room.append(None)
                if self._told[at]:
                    shape = (tensors[0][0][0], *spec.row())
                    room[at] = ctypes.create_string_buffer(prod(shape) * spec.item_bytes)
                    memory = ctypes.cast(room[at], _P)
                    outputs[at] = self._tensor(memory, len(room[at]), shape, spec.dtype)
            self._api.call(
                "Run",
                self._session,
                None,
                self._inputs,
                inputs,
                len(inputs),
                self._outputs,
                len(outputs),
                outputs,
            )
            return [
                self._copied(_P(outputs[at]), spec.item_bytes)
                if room[at] is None
                else ((tensors[0][0][0], *spec.row()), room[at].raw)
                for at, spec in enumerate(card.outputs)
            ]
        finally:
            for value in (*inputs, *outputs):
                if value:
                    self._release(value)

    def _copied(self, value: _P, item_bytes: int) -> "Tensor":
        """Shape and numbers of what the run has made room for."""
        api = self._api
        info = api.make("GetTensorTypeAndShape", value)
        try:
            rank, size = ctypes.c_size_t(), ctypes.c_size_t()
            api.call("GetDimensionsCount", info, ctypes.byref(rank))
            api.call("GetTensorShapeElementCount", info, ctypes.byref(size))
            shape = (ctypes.c_int64 * rank.value)()
            api.call("GetDimensions", info, shape, rank)
        finally:
            api["ReleaseTensorTypeAndShapeInfo"](info)
        data = api.make("GetTensorMutableData", value)
        return tuple(shape), ctypes.string_at(data, size.value * item_bytes)

    def _tensor(self, data: _P, size: int, shape: tuple[int, ...], dtype: str) -> _P:
        dimensions = (ctypes.c_int64 * len(shape))(*shape)
        return self._api.make(
            "CreateTensorWithDataAsOrtValue",
            self._memory,
            data,
            size,
            dimensions,
            len(shape),
            _TYPES[dtype],
        )


def _names(names: list[str]) -> "ctypes.Array[ctypes.c_char_p]":
    return (ctypes.c_char_p * len(names))(*(name.encode() for name in names))


def load(model_dir: str, card: "Card", *, threads: int, library: str) -> CapiBackend:
    """Load ``model.onnx`` with the ``libonnxruntime`` at ``library``."""
    path = f"{model_dir}/model.onnx"
    if not os.path.isfile(path):  # noqa: PTH113  # pathlib costs milliseconds at start
        raise StartError(f"{path} is missing: mount an unpacked model archive there.")
    level, entries = asked(card)
    api = _Api(library)
    try:
        env = api.make("CreateEnv", _ERROR, b"inference")
        options = api.make("CreateSessionOptions")
        api.call("SetSessionGraphOptimizationLevel", options, level)
        api.call("SetIntraOpNumThreads", options, threads)
        api.call("SetInterOpNumThreads", options, 1)
        # A plan of its memory, made of the first run, would take 7 MB anew for the second.
        api.call("DisableMemPattern", options)
        for key, value in entries.items():
            api.call("AddSessionConfigEntry", options, key.encode(), value.encode())
        if entries.get(MAPPED) == "1":
            session = api.make("CreateSessionFromArray", env, *_mapped(path), options)
        else:
            session = api.make("CreateSession", env, os.fsencode(path), options)
        api["ReleaseSessionOptions"](options)
        memory = api.make("CreateCpuMemoryInfo", _ARENA_ALLOCATOR, _DEFAULT_MEMORY)
    except RuntimeError as error:
        raise StartError(f"{path} cannot be loaded: {error}") from error
    return CapiBackend(api, session, memory, card)


def _mapped(path: str) -> tuple[_P, int]:
    """Where the file lies in memory, and its size. It stays there: the session reads from it."""
    import mmap  # only for models that are made for it

    with open(path, "rb") as file:  # noqa: PTH123
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    place = (ctypes.c_char * len(content)).from_buffer(content)
    _kept.append(place)
    return _P(ctypes.addressof(place)), len(content)


_kept: "list[object]" = []
