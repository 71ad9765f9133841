"""Forms of one ONNX model on disk.

The usual form is one file: the runtime reads it all, and copies every weight out of it. With the
weights in a second file (ONNX's external data) it maps that into memory instead: no copy, and
what is used of them as it is stays the page cache's.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

GRAPH: Final = "model.onnx"
DATA: Final = "model.data"
_LEAST: Final = 1024
"""Bytes. Smaller weights stay in the graph: constants that the optimiser reads, for the most."""
_PAGE: Final = 4096
"""Where each weight begins: memory is mapped by the page."""
_QUANTISED: Final = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul")


def files(folder: Path) -> Sequence[Path]:
    """The model's files in a folder."""
    return [path for path in (folder / GRAPH, folder / DATA) if path.is_file()]


def is_quantised(graph: Path) -> bool:
    """Whether it computes in integers."""
    import onnx

    model = onnx.load(graph, load_external_data=False)
    return any(node.op_type in _QUANTISED for node in model.graph.node)


def save_mapped(graph: Path, folder: Path) -> bool:
    """The same graph in ``folder``, its weights in a file beside it; False if it has none of size.

    The same bytes every time.
    """
    import onnx

    model = onnx.load(graph)
    weights = [one for one in model.graph.initializer if len(one.raw_data) >= _LEAST]
    if not weights:
        return False
    with (folder / DATA).open("wb") as data:
        for weight in weights:
            data.write(bytes(-data.tell() % _PAGE))
            place = {"location": DATA, "offset": data.tell(), "length": len(weight.raw_data)}
            data.write(weight.raw_data)
            weight.ClearField("raw_data")
            weight.data_location = onnx.TensorProto.EXTERNAL
            for key, value in place.items():
                weight.external_data.add(key=key, value=str(value))
    (folder / GRAPH).write_bytes(model.SerializeToString(deterministic=True))
    return True


def save_ahead(graph: Path, folder: Path, form: str) -> bool:
    """The graph as the runtime's optimiser leaves it; ``family``'s is laid out for this processor
    (NCHWc) and for those of its family only.
    """
    import onnxruntime

    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if form.endswith("family") else levels.ORT_ENABLE_EXTENDED
    )
    options.optimized_model_filepath = str(folder / GRAPH)
    external = "session.optimized_model_external_initializers_"
    entries = (
        {"session.save_model_format": "ORT"}
        if form.startswith("ort")
        else {f"{external}file_name": DATA, f"{external}min_size_in_bytes": str(_LEAST)}
    )
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    return True
