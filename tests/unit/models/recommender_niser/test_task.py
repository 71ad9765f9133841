"""Sessions to the graph's ids and back: exact where it is right, 400 or 413 that names the place
where it is not, never anything else."""

import json
import shutil
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import card, tasks
from app.errors import RequestError, StartError
from app.settings import Settings
from app.tasks import Batch, Tensor

if TYPE_CHECKING:
    from app.tasks import Task

SOURCE = Path(__file__).parents[4] / "models/recommender_niser/task.py"
JSON, CSV = "application/json", "text/csv"
N, K = 30, 25
FIRST_ID = 1000
"""Raw ids of a catalogue that has a file: 1000, 1003, ..."""


def described(*, ids: str | None = None, items: int = N) -> dict[str, Any]:
    client = range(FIRST_ID, FIRST_ID + 3 * N, 3) if ids else range(1, N + 1)
    return {
        "schema": 2,
        "name": "recommender-niser",
        "task": "session-recommendation",
        "inputs": [{"name": "session", "dtype": "int64", "shape": [None, None], "first": [1, 20]}],
        "outputs": [
            {"name": "items", "dtype": "int64", "shape": [None, K]},
            {"name": "scores", "dtype": "float32", "shape": [None, K]},
        ],
        "catalogue": {"items": items, "ids": ids, "most": 5},
        "popular": {"items": list(client)[:K], "shares": [1 / (2 + at) for at in range(K)]},
    }


def loaded(folder: Path, description: dict[str, Any], **env: str) -> "Task":
    """The task as the service loads it from an archive's folder."""
    (folder / "code").mkdir(exist_ok=True)
    shutil.copyfile(SOURCE, folder / "code/task.py")
    model = card.card(description)
    settings = Settings({"LAB_MODEL_DIR": str(folder), "LAB_MAX_INSTANCES": "4", **env})
    return tasks.fit(tasks.task_class(model, str(folder)), model, settings)


@pytest.fixture(scope="session")
def niser(tmp_path_factory: pytest.TempPathFactory) -> "Task":
    return loaded(tmp_path_factory.mktemp("plain"), described())


@pytest.fixture(scope="session")
def with_ids(tmp_path_factory: pytest.TempPathFactory) -> "Task":
    folder = tmp_path_factory.mktemp("with-ids")
    (folder / "code").mkdir()
    raw = array("q", range(FIRST_ID, FIRST_ID + 3 * N, 3))
    (folder / "code/items.i64").write_bytes(raw.tobytes())
    return loaded(folder, described(ids="code/items.i64"))


def rows(batch: Batch) -> list[list[int]]:
    """What the graph gets, with its padding."""
    (((count, length), data),) = batch.tensors
    flat = memoryview(data).cast("q").tolist()
    assert (count, len(flat)) == (batch.count, count * length)
    return [flat[at : at + length] for at in range(0, len(flat), length)]


def best(batch: Batch) -> list[Tensor]:
    """A graph whose answer to all is its ids N, N - 1, ..."""
    items = array("q", [*range(N, N - K, -1)] * batch.count)
    scores = array("f", [0.5 / (1 + at) for at in range(K)] * batch.count)
    return [((batch.count, K), items.tobytes()), ((batch.count, K), scores.tobytes())]


def answered(task: "Task", value: object) -> tuple[Any, Any]:
    batch = task.decode(JSON, json.dumps(value).encode())
    body, noted = task.encode(JSON, best(batch), batch, prediction_s=0.25)
    return json.loads(body), noted


def refused(task: "Task", body: object, *, kind: str = JSON, status: int = 400) -> str:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(RequestError) as caught:
        task.decode(kind, sent)
    assert caught.value.status == status
    return caught.value.reason


def test_a_session_goes_to_the_graph_as_it_is(niser: "Task") -> None:
    batch = niser.decode(JSON, b'{"session": [3, 1, 2]}')
    assert rows(batch) == [[3, 1, 2]]


def test_sessions_of_different_length_are_padded_on_the_right(niser: "Task") -> None:
    body = json.dumps({"instances": [{"session": one} for one in ([1], [2, 3, 4], [])]})
    assert rows(niser.decode(JSON, body.encode())) == [[1, 0, 0], [2, 3, 4], [0, 0, 0]]


def test_the_last_known_clicks_count_when_the_unknown_are_dropped(niser: "Task") -> None:
    session = [1, 2, 3, -4, 4, 0, 5, N + 1, 6, 10**30, 7, -(2**63)]
    said, (noted,) = answered(niser, {"session": session})
    assert rows(niser.decode(JSON, json.dumps({"session": session}).encode())) == [[3, 4, 5, 6, 7]]
    (prediction,) = said["predictions"]
    assert (prediction["unknown"], prediction["popular"]) == (5, False)
    assert (noted["length"], noted["unknown"]) == (12, 5 / 12)


def test_an_answer_holds_the_items_that_the_graph_gave_as_many_as_are_wanted(niser: "Task") -> None:
    said, (noted,) = answered(niser, {"session": [1], "k": 3})
    assert said == {
        "predictions": [
            {
                "item": 30,
                "items": [30, 29, 28],
                "scores": [0.5, 0.25, 0.166666672],
                "unknown": 0,
                "popular": False,
            }
        ],
        "prediction_seconds": 0.25,
        "model": "recommender-niser",
    }
    assert noted == {
        "answer": 1,
        "confidence": 0.5,
        "length": 1,
        "unknown": 0,
        "popularity": 0,  # the popular ones are 1 to 25
        "dropped": 0,
        "k": 3,
    }


def test_twenty_items_come_unless_another_number_is_asked_for(niser: "Task") -> None:
    said, _ = answered(niser, {"instances": [{"session": [1]}, {"session": [1], "k": K}]})
    assert [len(one["items"]) for one in said["predictions"]] == [20, K]


@pytest.mark.parametrize("session", [[], [-1, 0, N + 1]])
def test_a_session_without_a_known_item_gets_the_popular_ones(
    session: list[int], niser: "Task"
) -> None:
    said, (noted,) = answered(niser, {"session": session, "k": 2})
    (prediction,) = said["predictions"]
    assert (prediction["items"], prediction["scores"]) == ([1, 2], [1 / 2, 1 / 3])
    assert (prediction["item"], prediction["popular"]) == (1, True)
    assert prediction["unknown"] == len(session)
    assert (noted["answer"], noted["popularity"], noted["confidence"]) == (0, 1, 0.5)
    assert noted["unknown"] == (1 if session else 0)


def test_a_client_s_own_ids_are_translated_both_ways(with_ids: "Task") -> None:
    session = [FIRST_ID, FIRST_ID + 1, FIRST_ID + 3, FIRST_ID - 3, FIRST_ID + 3 * N, 1]
    batch = with_ids.decode(JSON, json.dumps({"session": session}).encode())
    assert rows(batch) == [[1, 2]]
    said, _ = answered(with_ids, {"session": session, "k": 2})
    (prediction,) = said["predictions"]
    assert prediction["items"] == [FIRST_ID + 3 * (N - 1), FIRST_ID + 3 * (N - 2)]
    assert prediction["unknown"] == 4
    said, _ = answered(with_ids, {"session": [], "k": 1})
    assert said["predictions"][0]["items"] == [FIRST_ID]


def test_every_feature_is_noted(niser: "Task") -> None:
    _, (noted,) = answered(niser, {"session": [1, 2]})
    assert set(noted) >= {one.name for one in niser.features}


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [(1.0, "1.0"), ("7", '"7"'), (True, "true"), (None, "null"), ([1], "an array"), ({}, "an obj")],
)
def test_what_is_no_whole_number_is_named_with_its_place(
    wrong: object, shown: str, niser: "Task"
) -> None:
    said = refused(niser, {"instances": [{"session": [1]}, {"session": [1, 2, wrong, 2.5]}]})
    assert f"instances[1].session[2] is {shown}" in said
    assert refused(niser, {"session": [wrong]}).startswith(f"session[0] is {shown}")


@pytest.mark.parametrize("k", [0, -1, K + 1, 2.0, "3", True, None, 10**400])
def test_a_number_of_items_that_the_model_cannot_give_is_refused(k: object, niser: "Task") -> None:
    said = refused(niser, {"instances": [{"session": [1], "k": k}]})
    assert said.startswith("instances[0].k is ")
    assert said.endswith(f"it must be from 1 to {K}.")
    assert len(said) < 120


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "The body is empty"),
        (b"[", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"session": [' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"]}", "session[0] is an object"),
        (b"[1, 2]", 'must be {"session"'),
        (b"{}", 'must be {"session"'),
        (b'{"session": [], "instances": []}', 'must be {"session"'),
        (b'{"session": {"0": 1}}', "session must be an array"),
        (b'{"instances": []}', "one at least"),
        (b'{"instances": {}}', "one at least"),
        (b'{"instances": [{"session": []}, [1]]}', "instances[1] must be"),
        (b'{"instances": [{"sessions": [1]}]}', "instances[0] must be"),
    ],
)
def test_a_body_of_another_form_is_refused_with_the_form(
    body: bytes, said: str, niser: "Task"
) -> None:
    assert said in refused(niser, body)


def test_more_sessions_than_are_taken_are_refused(niser: "Task") -> None:
    many = {"instances": [{"session": [1]}] * 5}
    assert refused(niser, many, status=413) == "5 sessions at once: send 4 at most."
    assert "5 sessions" in refused(niser, b"1\n" * 5, kind=CSV, status=413)


def test_a_line_of_csv_is_a_session_and_an_answer_is_a_line_of_items(niser: "Task") -> None:
    batch = niser.decode(CSV, b"\xef\xbb\xbf1, 2,3\r\n\r\n-4,5\n")
    assert rows(batch) == [[1, 2, 3], [0, 0, 0], [5, 0, 0]]
    body, noted = niser.encode(CSV, best(batch), batch, prediction_s=0)
    lines = [list(map(int, line.split(b","))) for line in body.splitlines()]
    of_the_graph = list(range(30, 10, -1))
    assert lines == [of_the_graph, list(range(1, 21)), of_the_graph]
    assert [one["unknown"] for one in noted] == [0, 0, 0.5]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"session,item\n1,2\n", 'Line 1, column 1 is "session"'),
        (b"1,2\n3,2014-04-07T10:51:09Z,5\n", 'Line 2, column 2 is "2014-04-07T10:51:09Z"'),
        (b"1,,2\n", 'Line 1, column 2 is ""'),
        (b"1,2,\n", 'Line 1, column 3 is ""'),
        (b"1\n2;3\n", 'Line 2, column 1 is "2;3"'),
        (b"1,2.0\n", 'Line 1, column 2 is "2.0"'),
        (b"1,1_000\n", 'Line 1, column 2 is "1_000"'),
        (b"1,2\n1,\xe2\x91\xa0\n", "Line 2, column 2 is "),
        (b"1," + b"9" * 5000, "Line 1, column 2 is "),
        (b"\xef\xbb\xbf", "The body is empty"),
    ],
)
def test_a_csv_of_other_columns_is_refused_with_line_and_column(
    body: bytes, said: str, niser: "Task"
) -> None:
    found = refused(niser, body, kind=CSV)
    assert said in found
    assert len(found) < 200


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["session", "k", "instances"]) | st.text(), inner)
    ),
)


def tried(task: "Task", kind: str, body: bytes) -> tuple[int, str]:
    try:
        batch = task.decode(kind, body)
        answer, noted = task.encode(kind, best(batch), batch, prediction_s=0)
    except RequestError as error:
        return error.status, error.reason
    assert answer
    assert len(noted) == batch.count
    return 200, ""


SESSIONS = st.fixed_dictionaries(
    {"session": st.lists(st.integers(-5, N + 5) | JSON_VALUES)}, optional={"k": JSON_VALUES}
)


@given(JSON_VALUES | SESSIONS | st.fixed_dictionaries({"instances": st.lists(SESSIONS)}))
def test_any_json_is_answered_or_refused_with_400_or_413(niser: "Task", value: object) -> None:
    status, said = tried(niser, JSON, json.dumps(value).encode())
    assert status in {200, 400, 413}
    assert len(said) < 300


@given(st.binary())
def test_any_bytes_are_answered_or_refused_with_400_or_413(niser: "Task", body: bytes) -> None:
    for kind in (JSON, CSV):
        assert tried(niser, kind, body)[0] in {200, 400, 413}


@given(st.lists(st.integers(FIRST_ID - 5, FIRST_ID + 3 * N + 5) | st.integers()))
def test_what_is_known_is_what_the_catalogue_holds(with_ids: "Task", session: list[int]) -> None:
    places = {FIRST_ID + 3 * at: at + 1 for at in range(N)}
    known = [places[one] for one in session if one in places]
    batch = with_ids.decode(JSON, json.dumps({"session": session}).encode())
    assert rows(batch) == [known[-5:] or [0]]
    assert batch.noted[0]["dropped"] == len(session) - len(known)


def test_a_million_clicks_cost_a_thousand_times_a_thousand(with_ids: "Task") -> None:
    def cpu_s(count: int) -> float:
        body = json.dumps({"session": [FIRST_ID + 3 * (at % N) for at in range(count)]}).encode()
        begun = time.process_time()
        batch = with_ids.decode(JSON, body)
        spent = time.process_time() - begun
        assert rows(batch) == [[(count - back) % N + 1 for back in range(5, 0, -1)]]
        return spent

    few = min(cpu_s(10_000) for _ in range(5))
    assert cpu_s(1_000_000) < 20 * 100 * few  # quadratic work would be 10,000 times as much


def test_ids_that_share_a_hash_cost_what_others_do(with_ids: "Task") -> None:
    def cpu_s(step: int) -> float:
        body = json.dumps({"session": [at * step for at in range(20_000)]}).encode()
        begun = time.process_time()
        with_ids.decode(JSON, body)
        return time.process_time() - begun

    usual = min(cpu_s(2**61 - 2) for _ in range(3))
    assert cpu_s(2**61 - 1) < 20 * usual  # Python's hash of any multiple of it is 0


def test_a_catalogue_of_a_million_is_read_and_searched(tmp_path: Path) -> None:
    items = 1_000_000
    (tmp_path / "code").mkdir()
    (tmp_path / "code/items.i64").write_bytes(array("q", range(0, 7 * items, 7)).tobytes())
    task = loaded(tmp_path, described(ids="code/items.i64", items=items))
    batch = task.decode(JSON, json.dumps({"session": [7 * items - 7, 3, 0]}).encode())
    assert rows(batch) == [[items, 1]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"catalogue": {"items": N, "ids": "code/none.i64", "most": 5}}, "cannot be read"),
        ({"catalogue": {"items": N, "ids": "code/task.py", "most": 5}}, "30 ids of 8 bytes"),
        ({"catalogue": {"items": 0, "ids": None, "most": 5}}, "items is 0"),
        ({"catalogue": {"items": N, "ids": None, "most": "x"}}, "most is 'x'"),
        ({"catalogue": [N]}, "does not fit"),
        ({"popular": {"items": [1], "shares": [0.5]}}, "popular must have 25 items"),
        ({"popular": {"items": [*range(K)], "shares": [0.5]}}, "popular must have 25 items"),
        ({"inputs": [{"name": "x", "dtype": "int32", "shape": [None, None]}]}, "must be int64"),
        ({"outputs": [{"name": "x", "dtype": "int64", "shape": [None, 3]}] * 2}, "of one shape"),
    ],
)
def test_a_card_that_does_not_fit_ends_the_start(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(StartError, match=said):
        loaded(tmp_path, described() | change)


@pytest.mark.parametrize("missing", ["catalogue", "popular"])
def test_a_card_without_what_the_task_needs_ends_the_start(missing: str, tmp_path: Path) -> None:
    description = described()
    del description[missing]
    with pytest.raises(StartError, match=missing):
        loaded(tmp_path, description)


def test_it_imports_no_numpy_which_the_smallest_image_has_not() -> None:
    assert "numpy" not in SOURCE.read_text().lower()
