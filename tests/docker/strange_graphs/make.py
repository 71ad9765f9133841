"""Makes graphs that strangers may bring, and says what the import makes of each: a line of JSON.

Runs inside the trainer image.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

from models.imported import bring
from models.imported_ends import Refused

HERE = Path(mkdtemp())
Shape = Sequence[str | int | None] | None


def end(name: str, shape: Shape, kind: int = T.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def graph(
    name: str,
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    *,
    constants: Sequence[tuple[str, Any]] = (),
    opset: int = 17,
    ir: int = 8,
    domain: str = "",
) -> Path:
    made = helper.make_graph(
        nodes, name, inputs, outputs, [numpy_helper.from_array(v, k) for k, v in constants]
    )
    opsets = [helper.make_opsetid("", opset)]
    opsets += [helper.make_opsetid(domain, 1)] if domain else []
    model = helper.make_model(made, opset_imports=opsets, ir_version=ir, producer_name="tests")
    file = HERE / f"{name}.onnx"
    onnx.save(model, file)
    return file


def say(case: str, model: Path, payload: tuple[str, bytes] | None = None) -> None:
    """One line: what ``model.json`` says, and the notes; or the refusal."""
    out, sent = HERE / f"out-{case}", None
    if payload is not None:
        sent = HERE / payload[0]
        sent.write_bytes(payload[1])
    said: dict[str, Any] = {"case": case}
    try:
        bring(model, case, out, sent)
    except Refused as refused:
        said |= {"refused": refused.what, "remedy": refused.remedy}
    else:
        for name in ("model", "card", "imported"):
            said[name] = json.loads((out / f"{name}.json").read_text())
        said["payload"] = (out / said["card"]["samples"]["payload"]).read_text(errors="replace")
        said["same"] = (out / "model.onnx").read_bytes() == model.read_bytes()
    sys.stdout.write(json.dumps(said) + "\n")


def node(kind: str, inputs: Sequence[str], output: str, **more: Any) -> Any:
    return helper.make_node(kind, inputs, [output], **more)


X, Y = end("x", ["n", 3]), end("y", ["n", 3])
NEG = node("Neg", ["x"], "y")


def main() -> None:
    plain = graph("plain", [NEG], [X], [Y])
    say("plain", plain)
    say("csv", plain, ("ask.csv", b"1,2,3\n4,5,6\n"))
    say("wrong columns", plain, ("wrong.csv", b"1,2,3\n4,5\n"))
    say("wrong type", plain, ("ask.txt", b"1,2,3\n"))
    say("wrong name", plain, ("named.json", b'{"inputs": {"z": [[1, 2, 3]]}}'))
    damaged(plain)
    beyond_the_runtime()
    without_numbers()
    apart()
    dimensions()


def damaged(plain: Path) -> None:
    content = plain.read_bytes()
    (HERE / "truncated.onnx").write_bytes(content[: len(content) // 2])
    say("truncated", HERE / "truncated.onnx")
    (HERE / "page.onnx").write_text("<html><body>Not found</body></html>")
    say("page", HERE / "page.onnx")
    with (HERE / "huge.onnx").open("wb") as file:
        file.truncate(2 * 1024**3)
    say("huge", HERE / "huge.onnx")


def beyond_the_runtime() -> None:
    say("opset", graph("opset", [NEG], [X], [Y], opset=99))
    say("ir", graph("ir", [NEG], [X], [Y], ir=99))
    frob = node("Frob", ["x"], "y", name="frobber", domain="strange")
    say("custom", graph("custom", [frob], [X], [Y], domain="strange"))
    inner = helper.make_graph([node("Frob", ["x"], "y", name="inner")], "inner", [], [Y])
    branch = node("If", ["on"], "y", then_branch=inner, else_branch=inner)
    say("inner", graph("inner", [branch], [X, end("on", [], T.BOOL)], [Y]))
    determinant = node("Det", ["x"], "y", name="determinant")
    doubles = [end("x", ["n", 3, 3], T.DOUBLE)], [end("y", ["n"], T.DOUBLE)]
    say("no kernel", graph("kernel", [determinant], *doubles))


def without_numbers() -> None:
    constant = node("Constant", [], "y", value=numpy_helper.from_array(np.zeros((1, 3), "f4")))
    say("no inputs", graph("inputs", [constant], [], [Y]))
    text = end("text", ["n"], T.STRING)
    same = node("Identity", ["text"], "y")
    say("text", graph("text", [same], [text], [end("y", ["n"], T.STRING)]))
    say("no rank", graph("rank", [NEG], [end("x", None)], [Y]))
    to_text = node("Cast", ["x"], "words", to=T.STRING)
    words = end("words", ["n", 3], T.STRING)
    say("only text", graph("only", [to_text], [X], [words]))
    say("text beside", graph("beside", [NEG, to_text], [X], [Y, words]))


def apart() -> None:
    weights = [("w", np.ones((3, 3), "f4"))]
    product = graph("product", [node("MatMul", ["x", "w"], "y")], [X], [Y], constants=weights)
    onnx.save_model(
        onnx.load(product),
        HERE / "apart.onnx",
        save_as_external_data=True,
        location="apart.bin",
        size_threshold=0,
    )
    say("apart", HERE / "apart.onnx")
    (HERE / "apart.bin").write_bytes(b"1234")
    say("apart cut", HERE / "apart.onnx")
    model = onnx.load(HERE / "apart.onnx", load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "length":
            entry.value = str(2 * 1024**3)
    (HERE / "large.onnx").write_bytes(model.SerializeToString())
    with (HERE / "apart.bin").open("wb") as file:
        file.truncate(2 * 1024**3)  # a hole: it takes no room
    say("apart large", HERE / "large.onnx")
    (HERE / "apart.bin").unlink()
    say("apart missing", HERE / "apart.onnx")


def dimensions() -> None:
    shape = [("s", np.array([1, 3]))]
    single = graph("single", [node("Reshape", ["x", "s"], "y")], [X], [Y], constants=shape)
    say("single", single)
    mean = node("ReduceMean", ["x"], "m", axes=[0], keepdims=1)
    say("mixed", graph("mixed", [mean, node("Sub", ["x", "m"], "y")], [X], [Y]))
    frames = [("s", np.array([-1, 160]))]
    nodes = [node("Reshape", ["x", "s"], "r"), node("ReduceMean", ["r"], "y", axes=[1])]
    wave = graph("wave", nodes, [end("x", ["samples"])], [end("y", None)], constants=frames)
    say("length", wave, ("wave.json", json.dumps([0.5] * 1600).encode()))
    kernel = [("k", np.ones((2, 3, 9, 9), "f4"))]
    ends = [end("x", ["n", 3, "h", "w"])], [end("y", ["n", 2, "i", "j"])]
    say("free", graph("free", [node("Conv", ["x", "k"], "y")], *ends, constants=kernel))
    table = [("t", np.ones((10, 4), "f4"))]
    ends = [end("ids", ["n"], T.INT64)], [end("y", ["n", 4])]
    gather = graph("gather", [node("Gather", ["t", "ids"], "y")], *ends, constants=table)
    say("beyond", gather, ("beyond.json", b"[1, 30]"))


if __name__ == "__main__":
    main()
