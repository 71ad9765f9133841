"""Bodies and answers of the task of named tensors, without a model."""

import contextlib
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app import card, tasks
from app.errors import RequestError
from app.settings import Settings
from tests.unit.services.inference.tiny import KINDS

JSON, NPY, CSV = "application/json", "application/x-npy", "text/csv"
DTYPES = sorted({*KINDS} - {"string"})
Spec = Mapping[str, Any]


def spec(name: str, dtype: str, *shape: int | None, **more: object) -> Spec:
    return {"name": name, "dtype": dtype, "shape": list(shape), **more}


X = spec("x", "float32", None, 3)
Y = spec("y", "float32", None, 2)


def task(
    inputs: Sequence[Spec] = (X,),
    outputs: Sequence[Spec] = (Y,),
    env: Mapping[str, str] | None = None,
) -> "tasks.Task":
    described = card.card(
        {
            "schema": 2,
            "name": "stranger",
            "task": "tensors",
            "inputs": list(inputs),
            "outputs": list(outputs),
        }
    )
    return tasks.fit(tasks.task_class(described, "/nowhere"), described, Settings(env or {}))


def arrays(made: "tasks.Task", specs: Sequence[Spec], body: object, kind: str = JSON) -> list[Any]:
    """The inputs that a body is decoded to, by NumPy."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    batch = made.decode(kind, raw)
    return [
        np.frombuffer(data, one["dtype"]).reshape(shape)
        for one, (shape, data) in zip(specs, batch.tensors, strict=True)
    ]


def refusal(body: object, *inputs: Spec, kind: str = JSON, status: int = 400) -> str:
    with pytest.raises(RequestError) as caught:
        arrays(task(inputs or (X,)), inputs or (X,), body, kind)
    assert caught.value.status == status
    return caught.value.reason


def saved(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def answered(
    made: "tasks.Task", outputs: Sequence[NDArray[Any]], kind: str = JSON, count: int = 1
) -> tuple[bytes, Sequence[Mapping[str, float]]]:
    batch = tasks.Batch(count, [], [{"size": 3.0}] * count)
    tensors = [(one.shape, one.tobytes()) for one in outputs]
    return made.encode(kind, tensors, batch, prediction_s=0.25)


ROWS = [[1.5, 2, 3], [4, 5, -6]]


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": {"x": ROWS}},
        {"inputs": ROWS},
        {"instances": ROWS},
        {"instances": [{"x": row} for row in ROWS]},
        {"instances": ROWS, "signature_name": "serving_default"},
        ROWS,
    ],
)
def test_rows_and_columns_and_a_bare_list_are_the_same_tensor(body: object) -> None:
    (array,) = arrays(task(), [X], body)
    np.testing.assert_array_equal(array, np.array(ROWS, np.float32))


def test_one_instance_may_come_without_the_batch_and_a_column_without_its_last_one() -> None:
    (array,) = arrays(task(), [X], [1, 2, 3])
    assert array.shape == (1, 3)
    single = spec("x", "float32", 1, 3)
    (array,) = arrays(task([single]), [single], saved(np.ones(3, np.float32)), NPY)
    assert array.shape == (1, 3)
    column = spec("x", "int64", None, 1)
    (array,) = arrays(task([column]), [column], {"instances": [4, 5, 6]})
    assert array.tolist() == [[4], [5], [6]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_json_of_every_type_arrives_as_numpy_would_have_it(dtype: str) -> None:
    values = np.array([[0, 1, 1]], dtype)
    if dtype != "bool":
        limits = np.finfo(dtype) if dtype.startswith("float") else np.iinfo(dtype)
        values = np.array([[0, limits.min, limits.max]], dtype)
    one = spec("x", dtype, None, 3)
    (array,) = arrays(task([one]), [one], {"inputs": {"x": values.tolist()}})
    assert array.dtype == values.dtype
    np.testing.assert_array_equal(array, values)


def test_several_inputs_come_by_name_in_any_order_and_without_a_batch() -> None:
    specs = [spec("ids", "int64", None, None), spec("scale", "float64"), spec("on", "bool", 2)]
    body = {"inputs": {"on": [True, False], "scale": 0.1, "ids": [[1, 2, 3]]}}
    made = task(specs)
    ids, scale, on = arrays(made, specs, body)
    assert (ids.tolist(), scale.tolist(), on.tolist()) == ([[1, 2, 3]], 0.1, [True, False])
    assert made.decode(JSON, json.dumps(body).encode()).count == 1
    assert list(made.taken) == [JSON]


def test_numbers_that_json_has_no_word_for_come_as_strings_or_as_python_writes_them() -> None:
    for body in (b'[["NaN", "-Infinity", "Infinity"]]', b"[[NaN, -Infinity, Infinity]]"):
        (array,) = arrays(task(), [X], body)
        np.testing.assert_array_equal(array, [[math.nan, -math.inf, math.inf]])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        ({"x": ROWS}, r'must be {"inputs": .*x \(float32 of \[n, 3\]\)'),
        ({"inputs": {"y": ROWS}}, '"inputs" has no x; the inputs are x'),
        ({"inputs": {"x": ROWS, "y": 1}}, "has 'y', which is no input"),
        ({"instances": []}, "one at least"),
        ({"instances": [{"x": [1, 2, 3]}, 5]}, r"instances\[1\] must be an object"),
        ({"instances": [{"x": [1, 2, 3]}, {}]}, r"instances\[1\] has no x"),
        ([[1, 2], [1, 2]], r"x is float32 of \[n, 3\]; an array of \[2, 2\] came"),
        ([[1, 2, 3], [1, 2]], r"x is float32 .*; \[1\] has 2 elements, those before it 3"),
        (5, "a single value came"),
        ([[1, 2, "3"]], r"x is float32 .*; \[0\]\[2\] is a string"),
        ([[1, 2, None]], r"\[0\]\[2\] is null"),
        ([[1, 2, True]], r"\[0\]\[2\] is a boolean"),
        ([[1, 2, [3]]], r"\[0\]\[2\] is a list"),
        ([[1, 1e39, 2]], r"\[0\]\[1\] is 1e\+39, out of range"),
        ([[1, 10**400, 2]], r"\[0\]\[1\] is 1000.*, out of range"),
        ({"inputs": []}, r"an array of \[0\] came"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_input_its_shape_and_what_came(
    body: object, said: str
) -> None:
    assert re.search(said, refusal(body))


@pytest.mark.parametrize(
    ("dtype", "value", "said"),
    [
        ("uint8", 300, "is 300, out of range"),
        ("uint8", -1, "is -1, out of range"),
        ("int64", 2**63, "is 9223372036854775808, out of range"),
        ("int32", 1.0, "is 1.0"),
        ("bool", 1, "is 1."),
        ("float16", 1e6, "is 1000000.0, out of range"),
    ],
)
def test_numbers_beyond_a_type_are_refused_with_their_place(
    dtype: str, value: object, said: str
) -> None:
    assert f"[0][0] {said}" in refusal([[value]], spec("x", dtype, None, 1))


def test_inputs_of_unlike_counts_are_refused_with_both() -> None:
    said = refusal({"inputs": {"x": ROWS, "y": [[1, 2]]}}, X, Y)
    assert "2 of x, 1 of y" in said
    assert "by name" in refusal({"inputs": ROWS}, X, Y)


def test_sizes_that_the_graph_calls_the_same_must_be_the_same() -> None:
    ids, mask = (
        spec(name, "int64", None, None, dims=["batch", "length"]) for name in ("ids", "mask")
    )
    body = {"instances": [{"ids": [1, 2, 3], "mask": [1, 1]}]}
    said = refusal(body, ids, mask)
    assert said == "The size 'length' must be the same; 3 in ids, 2 in mask came."
    body["instances"][0]["mask"].append(0)
    assert len(arrays(task([ids, mask]), [ids, mask], body)) == 2


def test_a_fixed_batch_takes_its_own_size_only() -> None:
    fixed = spec("x", "float32", 2, 3)
    (array,) = arrays(task([fixed]), [fixed], {"instances": ROWS})
    assert array.shape == (2, 3)
    assert "[2, 3]; an array of [1, 3] came" in refusal({"instances": ROWS[:1]}, fixed)


def test_more_instances_than_allowed_are_too_many_but_only_where_they_are_instances() -> None:
    for kind, body in [
        (JSON, json.dumps({"instances": [[1, 2, 3]] * 5}).encode()),
        (JSON, json.dumps([[1, 2, 3]] * 5).encode()),
        (NPY, saved(np.zeros((5, 3), np.float32))),
        (CSV, b"1,2,3\n" * 5),
    ]:
        with pytest.raises(RequestError, match="5 instances") as caught:
            task(env={"LAB_MAX_INSTANCES": "4"}).decode(kind, body)
        assert caught.value.status == 413
    free = spec("x", "float32", None, batched=False)
    made = task([free], env={"LAB_MAX_INSTANCES": "4"})
    assert made.decode(JSON, b"[1, 2, 3, 4, 5]").count == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_array_files_of_every_type_arrive_as_they_are(dtype: str) -> None:
    values = np.array([[0, 1, 1], [1, 0, 1]], dtype)
    one = spec("x", dtype, None, 3)
    for array in (values, values.astype(values.dtype.newbyteorder(">")), values[0]):
        (found,) = arrays(task([one]), [one], saved(array), NPY)
        np.testing.assert_array_equal(found, np.atleast_2d(array))
        assert found.dtype == values.dtype


@pytest.mark.parametrize("given", DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_array_files_of_another_type_are_taken_where_no_number_can_change(
    dtype: str, given: str
) -> None:
    one = spec("x", dtype, None, 2)
    body = saved(np.array([[0, 1]], given))
    if "bool" in (dtype, given):
        lossless = dtype == given
    else:
        # NumPy calls 64-bit whole numbers safe in a float64, which has 53 bits for them.
        rounded = given.endswith("int64") and dtype == "float64"
        lossless = np.can_cast(given, dtype) and not rounded
    if lossless:
        (found,) = arrays(task([one]), [one], body, NPY)
        np.testing.assert_array_equal(found, np.array([[0, 1]], dtype))
    else:
        assert f"{given} came: save the array's astype('{dtype}')" in refusal(body, one, kind=NPY)


def test_a_line_of_csv_is_a_row() -> None:
    (array,) = arrays(task(), [X], b"1,2.5,nan\r\n -3 ,4e2,5\n", CSV)
    np.testing.assert_array_equal(array, np.array([[1, 2.5, math.nan], [-3, 400, 5]], np.float32))
    free = spec("x", "int64", None, None)
    (array,) = arrays(task([free]), [free], b"\xef\xbb\xbf1,2,3,4", CSV)
    assert array.tolist() == [[1, 2, 3, 4]]
    truth = spec("x", "bool", None, 2)
    (array,) = arrays(task([truth]), [truth], b"true,0\nFalse,1", CSV)
    assert array.tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"a,b,c\n1,2,3", "line 1, column 1 is 'a'"),
        (b"1,2,3\n4,5,x", "line 2, column 3 is 'x'"),
        (b"1,2,3\n4,5", "3 columns; line 2 has 2"),
        (b"1,2,3\n4,5,6,7", "3 columns; line 2 has 4"),
        (b"1,2,3\n\n4,5,6", "line 2 has 1"),
        (b"1,,3", "line 1, column 2 is ''"),
        (b"1,1_0,3", "line 1, column 2 is '1_0'"),
        (b"1,1e39,3", "line 1, column 2 is '1e39'"),
        (b"\n", "line 1 has 1"),
    ],
)
def test_csv_that_does_not_fit_is_refused_with_line_and_column(body: bytes, said: str) -> None:
    assert said in refusal(body, kind=CSV)


def test_what_a_body_may_be_depends_on_the_inputs_and_what_an_answer_on_the_outputs() -> None:
    image = spec("x", "float32", None, 3, 4, 4)
    assert list(task([image], [image]).taken) == [JSON, NPY]
    assert list(task([image], [image]).given) == [JSON, NPY]
    assert list(task([X, Y], [X, Y]).given) == [JSON]
    assert list(task().taken) == list(task().given) == [JSON, NPY, CSV]


def test_answers_by_row_are_values_or_objects_by_name() -> None:
    y = np.array([[0.25, 2], [3, 4]], np.float32)
    body, _ = answered(task(), [y], count=2)
    assert json.loads(body) == {
        "predictions": [[0.25, 2.0], [3.0, 4.0]],
        "prediction_seconds": 0.25,
        "model": "stranger",
    }
    label = spec("label", "int64", None)
    body, _ = answered(task([X], [label, Y]), [np.array([7, 8]), y], count=2)
    assert json.loads(body)["predictions"] == [
        {"label": 7, "y": [0.25, 2.0]},
        {"label": 8, "y": [3.0, 4.0]},
    ]


def test_answers_that_have_no_rows_are_outputs_by_name() -> None:
    mean = spec("mean", "float32")
    places = spec("places", "int64", 2, None)
    outputs: list[NDArray[Any]] = [np.array(0.25, np.float32), np.zeros((2, 0), np.int64)]
    body, noted = answered(task([X], [mean, places]), outputs)
    assert json.loads(body)["outputs"] == {"mean": 0.25, "places": [[], []]}
    assert [one["answer"] for one in noted] == [1.0]


def test_an_answer_without_rows_is_never_cut_up_into_several_runs() -> None:
    batch = task([X], [spec("mean", "float32")]).decode(JSON, json.dumps([[1, 2, 3]] * 9).encode())
    assert (batch.count, len(batch.noted)) == (1, 9)


@pytest.mark.parametrize("dtype", DTYPES)
def test_answers_of_every_type_are_read_back_the_same(dtype: str) -> None:
    values = np.array([[0, 1], [1, 1]], dtype)
    if dtype.startswith("float"):
        values = np.array([[1 / 3, -2e-7], [1e4, 0]], dtype)
    one = spec("y", dtype, None, 2)
    made = task([X], [one])
    predictions = json.loads(answered(made, [values], count=2)[0])["predictions"]
    np.testing.assert_array_equal(np.array(predictions).astype(dtype), values)
    array = np.load(io.BytesIO(answered(made, [values], NPY, count=2)[0]))
    assert array.dtype == values.dtype
    np.testing.assert_array_equal(array, values)
    lines = answered(made, [values], CSV, count=2)[0].decode().splitlines()
    read = [line.split(",") for line in lines]
    if dtype == "bool":
        assert read == [["false", "true"], ["true", "true"]]
    else:
        np.testing.assert_array_equal(np.array(read, np.float64).astype(dtype), values)


def test_numbers_that_are_none_are_strings_in_json_and_counted() -> None:
    y = np.array([[np.nan, -np.inf], [np.inf, 1], [1, 2]], np.float32)
    body, noted = answered(task(), [y], count=3)
    predictions = json.loads(body)["predictions"]
    assert predictions == [["NaN", "-Infinity"], ["Infinity", 1.0], [1.0, 2.0]]
    assert [one["answer"] for one in noted] == [0.0, 0.0, 1.0]
    assert answered(task(), [y], CSV, count=3)[0] == b"nan,-inf\ninf,1.0\n1.0,2.0\n"


def test_the_size_of_an_instance_is_how_many_numbers_it_came_as() -> None:
    batch = task([X, Y]).decode(
        JSON, json.dumps({"inputs": {"x": ROWS, "y": [[1, 2]] * 2}}).encode()
    )
    assert batch.noted == [{"size": 5.0}, {"size": 5.0}]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["NaN", "x", ""]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["inputs", "instances", "x", "ids", "on"]), inner)
    ),
    max_leaves=12,
)
MODELS = [
    [X],
    [spec("x", "float16"), spec("on", "bool", None)],
    [spec("x", "int64", None, None, batched=False)],
    [spec("x", "uint8", None, None, dims=["n", "k"]), spec("ids", "bool", None, dims=["k"])],
]


@pytest.mark.parametrize("inputs", MODELS)
@given(value=JSON_VALUES)
def test_any_json_is_decoded_to_what_the_card_says_or_refused(
    inputs: Sequence[Spec], value: object
) -> None:
    with contextlib.suppress(RequestError):
        batch = task(inputs).decode(JSON, json.dumps(value).encode())
        for one, (shape, data) in zip(inputs, batch.tensors, strict=True):
            assert len(data) == math.prod(shape) * np.dtype(one["dtype"]).itemsize
            assert card.TensorSpec(dict(one)).fits(shape)


@pytest.mark.parametrize("kind", [JSON, NPY, CSV])
@given(damage=st.binary(max_size=40), at=st.integers(0, 200))
def test_a_body_with_any_damage_is_decoded_or_refused(kind: str, damage: bytes, at: int) -> None:
    bodies = {JSON: b'{"inputs": [[1, 2, 3]]}', NPY: saved(np.ones((1, 3), "f4")), CSV: b"1,2,3"}
    body = bodies[kind][:at] + damage + bodies[kind][at + len(damage) :]
    with contextlib.suppress(RequestError):
        (shape, data), *_ = task().decode(kind, body).tensors
        assert len(data) == math.prod(shape) * 4
