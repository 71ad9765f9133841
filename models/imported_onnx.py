"""A stranger's ONNX file: read, made one file, and refused with the node that does not fit."""

import re
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, Final

import onnx
import onnxruntime
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import external_data_helper
from onnxruntime.capi import onnxruntime_pybind11_state as binding

from models.imported_ends import MOST_BYTES, End, Refused, Source, numeric

_DTYPES: Final[Mapping[int, str]] = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    8: "string", 9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64",
}  # fmt: skip
_DAMAGED: Final = "Export or download it again; an ONNX file is a ModelProto, whole."
_SMALLER: Final = "Serve a smaller one: in float16, quantised, or of fewer parameters."
_ONNX: Final = ("", "ai.onnx")
_IR: Final = re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)")
_NOISE: Final = re.compile(
    r"^\S+ cannot be loaded: \[ONNXRuntimeError\] : \d+ : \w+ : (Load model from \S+ failed: ?)?"
)
_OPSET: Final = re.compile(r"Opset (\d+) is under.*support for domain (\S+) is till opset (\d+)")


def read(file: Path, out: Path) -> Source:
    """Leave ``model.onnx`` in ``out``; raises ``Refused``."""
    model, content = _parsed(file)
    folded = _fold(model, file)
    _know_all(model)
    stored = {one.name for one in model.graph.initializer}
    inputs = [_end(one) for one in model.graph.input if one.name not in stored]
    cut = list(_cut_zipmaps(model.graph))
    outputs, left = numeric("graph", inputs, [_end(one) for one in model.graph.output])
    notes = [*folded, *cut]
    if notes:
        content = model.SerializeToString(deterministic=True)
    (out / "model.onnx").write_bytes(content)
    return Source(
        runtime="onnx",
        inputs=inputs,
        outputs=outputs,
        parameters=_parameters(model),
        facts={
            "producer": f"{model.producer_name} {model.producer_version}".strip(),
            "ir_version": model.ir_version,
            "opset": {one.domain or "ai.onnx": one.version for one in model.opset_import},
        },
        notes=[*notes, left] if left else notes,
    )


def fault(message: str) -> Refused:
    """What ONNX Runtime's message on loading a model means to whoever exported it."""
    runtime = f"ONNX Runtime {onnxruntime.__version__}"
    if found := _IR.search(message):
        return Refused(
            f"The file is of IR version {found[1]}; {runtime} reads up to {found[2]}.",
            f"Export it with an older onnx, or set model.ir_version = {found[2]} and save it.",
        )
    if found := _OPSET.search(message):
        return Refused(
            f"The graph is of opset {found[1]} of {found[2]}; {runtime} has up to {found[3]}.",
            f"Export it with opset {found[3]}, or convert it: onnx.version_converter.",
        )
    return Refused(
        f"{runtime} cannot load it: {_NOISE.sub('', message)[:500]}",
        "Change what it names, or export the model otherwise.",
    )


def _parsed(file: Path) -> tuple[Any, bytes]:
    if file.stat().st_size > MOST_BYTES:
        raise Refused(f"{file.name} is larger than 2 GiB, which no reader of ONNX takes.", _SMALLER)
    content = file.read_bytes()
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise Refused(f"{file.name} is no ONNX file, or a part of one.", _DAMAGED) from error
    if not model.graph.node:
        raise Refused(f"{file.name} holds no graph: there is no node in it.", _DAMAGED)
    return model, content


def _fold(model: Any, file: Path) -> Iterator[str]:
    """Take weights from the files beside it into the model; a note for each file."""
    outside = [
        (one.name, external_data_helper.ExternalDataInfo(one))
        for one in _tensors(model)
        if external_data_helper.uses_external_data(one)
    ]
    needed: dict[str, int] = {}
    for name, info in outside:
        place = Path(info.location)
        if not info.location or place.is_absolute() or ".." in place.parts:
            raise Refused(
                f"The weight {name} lies in {info.location!r}, outside the model's folder.",
                "Save the model with its external data beside it.",
            )
        found = file.parent / place
        if not found.is_file():
            raise Refused(
                f"The external data {info.location} of the weight {name} is missing.",
                f"Put {info.location} beside {file.name}; both belong together.",
            )
        end = (info.offset or 0) + (info.length or 0)
        if found.stat().st_size < end:
            raise Refused(
                f"The external data {info.location} ends before the weight {name}: it has "
                f"{found.stat().st_size} of {end} bytes.",
                "Copy or download it again.",
            )
        size = info.length or found.stat().st_size - (info.offset or 0)
        needed[info.location] = needed.get(info.location, 0) + size
    if model.ByteSize() + sum(needed.values()) > MOST_BYTES:
        raise Refused(
            f"With its external data the model has {sum(needed.values())} bytes; the archive holds "
            "one file, of 2 GiB at most.",
            _SMALLER,
        )
    if needed:
        try:
            external_data_helper.load_external_data_for_model(model, str(file.parent))
        except Exception as error:  # onnx's errors share no base class
            raise Refused(
                f"The external data of {file.name} cannot be taken in: {error}",
                "Save the model and its external data again, as plain files in one folder.",
            ) from error
    for location in needed:
        yield f"The external data {location} was taken into model.onnx."


def _know_all(model: Any) -> None:
    """Raise ``Refused`` with the first node of an operator that the runtime does not have."""
    known = {(one.domain, one.name) for one in binding.get_all_operator_schema()}
    known |= {(one.domain, one.name) for one in model.functions}
    for node in _nodes(model):
        domain = "" if node.domain in _ONNX else node.domain
        if (domain, node.op_type) not in known:
            named = f"{node.name or 'without a name'}, which makes {', '.join(node.output)}"
            raise Refused(
                f"ONNX Runtime {onnxruntime.__version__} has no operator {node.op_type} of the "
                f"domain {domain or 'ai.onnx'}: node {named}.",
                "Export the model without it: custom operators need a library of their own, which "
                "the images do not have.",
            )


def _cut_zipmaps(graph: Any) -> Iterator[str]:
    """Give out the tensor that scikit-learn's converter makes a list of dictionaries of."""
    makers = {name: node for node in graph.node for name in node.output}
    for at, value in reversed(list(enumerate(graph.output))):
        node = makers.get(value.name)
        if node is None or node.op_type != "ZipMap":
            continue
        (tensor,), maps = node.input, value.name
        classes = [
            one.decode() if isinstance(one, bytes) else one
            for attribute in node.attribute
            for one in (*attribute.strings, *attribute.ints)
        ]
        graph.node.remove(node)
        if tensor in [one.name for one in graph.output]:
            del graph.output[at]
        else:
            graph.output[at].CopyFrom(onnx.helper.make_tensor_value_info(tensor, 1, None))
        yield (
            f"The node {node.name or 'ZipMap'} was cut off: instead of {maps}, a list of maps, the "
            f"model gives {tensor}, a column for each of {classes}."
        )


def _end(value: Any) -> End:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return End(name=value.name, dtype=str(kind).removesuffix("_type"), shape=None)
    tensor = value.type.tensor_type
    shape = None
    if tensor.HasField("shape"):
        # Some exporters write -1 or 0 for what is free.
        shape = [one.dim_param or (max(one.dim_value, 0) or None) for one in tensor.shape.dim]
    name = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    return End(name=value.name, dtype=_DTYPES.get(tensor.elem_type, name), shape=shape)


def _graphs(model: Any) -> Iterator[Any]:
    """The graph, those inside its nodes, and the functions: whatever has nodes."""
    waiting = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop(0)
        yield graph
        for node in graph.node:
            for one in node.attribute:
                waiting += [*([one.g] if one.HasField("g") else []), *one.graphs]


def _nodes(model: Any) -> Iterator[Any]:
    for graph in _graphs(model):
        yield from graph.node


def _tensors(model: Any) -> Iterator[Any]:
    for graph in _graphs(model):
        yield from getattr(graph, "initializer", ())
        for node in graph.node:
            for one in node.attribute:
                yield from (*([one.t] if one.HasField("t") else []), *one.tensors)


def _parameters(model: Any) -> int:
    lists = sum(len(one.floats) for node in _nodes(model) for one in node.attribute)
    return int(lists + sum(prod(one.dims) for one in _tensors(model)))
