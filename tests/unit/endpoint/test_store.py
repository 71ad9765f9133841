import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.endpoint.records import (
    AsyncRecord,
    EndpointRecord,
    Origin,
    Pin,
    Resource,
    ServerRecord,
    Status,
    VariantState,
)
from lab.endpoint.store import SqliteStore
from lab.errors import BusyError, LabError

MODEL = Resource(name="m", arn="arn:m", created_at=3.0, body={"X": {"Y": ["é"]}})
CONFIG = Resource(name="c", arn="arn:c", created_at=2.0, body={"ProductionVariants": []})
PIN = Pin(image_id="sha256:1", resolved_image="m@sha256:1", resolved_at=2.5, data_etag="e")
ENDPOINT = EndpointRecord(
    name="Ep",
    arn="arn:ep",
    created_at=1.5,
    modified_at=2.25,
    status=Status.UPDATING,
    config_name="c",
    failure_reason="\ud800 broken",
    pending={"v": VariantState(name="v", weight=0.1, count=3)},
    deployment={"A": [1]},
    variants={"v": VariantState(name="v", weight=1.0, count=2, max_concurrency=4)},
    generation=7,
    origins={"c": Origin(config=CONFIG, models={"m": MODEL}, tags={"k": "v"}, pins={"v": PIN})},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "state.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(path)
    yield made
    made.close()


def test_records_come_back_as_they_were_from_a_new_store(store: SqliteStore, path: Path) -> None:
    server = ServerRecord(
        id="i-1", endpoint="Ep", variant="v", generation=7, container="x", created_at=4.0
    )
    waiting = AsyncRecord(
        id="a", endpoint="Ep", inference_id="q", accepted_at=1.0, expires_at=2.0, request={"B": 1}
    )
    assert store.add_endpoint(ENDPOINT)
    assert store.put("model", MODEL)
    assert store.put("config", MODEL)
    store.add_server(server)
    store.add_async(waiting)
    store.set_tags("arn:m", {"b": "1", "a": "2"})
    identity = store.identity()
    store.close()

    again = SqliteStore(path)
    assert again.endpoint("Ep") == ENDPOINT
    assert again.endpoints() == [ENDPOINT]
    assert again.resource("model", "m") == again.resource("config", "m") == MODEL
    assert again.resources("model") == again.resources("config") == [MODEL]
    assert again.servers() == [server]
    assert again.asyncs() == [waiting]
    assert list(again.tags("arn:m").items()) == [("b", "1"), ("a", "2")]
    assert again.identity() == identity
    again.delete_server("i-1")
    again.delete_async("a")
    assert (again.servers(), again.asyncs()) == ([], [])
    again.close()


def test_endpoint_names_are_unique_in_any_case_and_found_exactly(store: SqliteStore) -> None:
    assert store.add_endpoint(ENDPOINT)
    assert not store.add_endpoint(replace(ENDPOINT, name="eP"))
    assert store.endpoint("ep") is None
    assert not store.delete_endpoint("ep")
    assert store.change_endpoint("ep", lambda row: row) is None
    assert store.delete_endpoint("Ep")
    assert store.endpoint("Ep") is None


def test_a_name_that_is_taken_is_not_taken_twice(store: SqliteStore) -> None:
    assert store.put("model", MODEL)
    assert not store.put("model", replace(MODEL, body={}))
    assert store.resource("model", "m") == MODEL
    assert store.resource("model", "M") is None


def test_tags_go_with_what_they_were_on(store: SqliteStore) -> None:
    store.put("model", MODEL)
    store.add_endpoint(ENDPOINT)
    for arn in ("arn:m", "arn:ep"):
        store.set_tags(arn, {"k": "v"})
    assert store.delete("model", "m")
    assert store.delete_endpoint("Ep")
    assert (store.tags("arn:m"), store.tags("arn:ep")) == ({}, {})
    assert not store.delete("model", "m")


def test_a_change_is_all_or_nothing(store: SqliteStore) -> None:
    store.add_endpoint(ENDPOINT)
    changed = store.change_endpoint("Ep", lambda row: replace(row, generation=row.generation + 1))
    assert changed is not None
    assert store.endpoint("Ep") == changed
    assert changed.generation == 8
    assert store.change_endpoint("Ep", lambda _: None) == changed

    def breaks(row: EndpointRecord) -> EndpointRecord:
        store.set_tags("arn:ep", {"half": "done"})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.change_endpoint("Ep", breaks)
    assert store.tags("arn:ep") == {}
    assert store.endpoint("Ep") == changed


def test_a_row_of_another_version_is_read_with_defaults_and_without_what_is_unknown(
    store: SqliteStore, path: Path
) -> None:
    store.add_endpoint(ENDPOINT)
    store.close()
    with sqlite3.connect(path) as db:
        db.execute(
            "UPDATE endpoint SET row = json_set(json_remove(row, '$.generation', "
            "'$.origins.c.pins'), '$.future', 1, '$.variants.v.future', 1)"
        )
    db.close()
    again = SqliteStore(path)
    unpinned = {"c": replace(ENDPOINT.origins["c"], pins={})}
    assert again.endpoint("Ep") == replace(ENDPOINT, generation=0, origins=unpinned)
    again.close()


def test_a_file_that_is_no_database_is_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all, but long enough to be read as a header" * 100)
    with pytest.raises(LabError, match=r"state\.sqlite3.*file is not a database.*Move that file"):
        SqliteStore(path)


def test_a_foreign_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(LabError, match="not the emulator's"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_newer_labs_database_is_left_alone(store: SqliteStore, path: Path) -> None:
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(LabError, match="newer lab"):
        SqliteStore(path)


def test_a_damaged_page_is_noticed(store: SqliteStore, path: Path) -> None:
    for number in range(300):
        store.put("model", replace(MODEL, name=f"m{number}", body={"x": "y" * 500}))
    store.close()
    with path.open("r+b") as file:
        file.seek(4096 * 6)
        file.write(os.urandom(4096 * 20))
    with pytest.raises(LabError, match="Move that file away"):
        SqliteStore(path)


def test_a_row_that_makes_no_sense_is_said_to(store: SqliteStore, path: Path) -> None:
    store.add_endpoint(ENDPOINT)
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE endpoint SET row = json_set(row, '$.status', 'Asleep')")
    db.close()
    again = SqliteStore(path)
    with pytest.raises(LabError, match="Asleep"):
        again.endpoint("Ep")
    again.close()


_WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from lab.endpoint.store import SqliteStore
from tests.unit.endpoint.test_store import ENDPOINT
store = SqliteStore(Path(sys.argv[1]))
store.add_endpoint(ENDPOINT)
def change(row):
    store.set_tags(row.arn, {"generation": str(row.generation + 1)})
    return replace(row, generation=row.generation + 1)
store.change_endpoint("Ep", change)
print("ready", flush=True)
while True:
    store.change_endpoint("Ep", change)
"""


def test_a_kill_at_any_instant_leaves_whole_transactions(path: Path) -> None:
    last = ENDPOINT.generation
    for delay in (0.01, 0.03, 0.07):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            with pytest.raises(BusyError, match="Another emulator"):
                SqliteStore(path)
            time.sleep(delay)
            writer.send_signal(signal.SIGKILL)
        store = SqliteStore(path)
        row = store.endpoint("Ep")
        assert row is not None
        assert row.generation > last, "what was committed before `ready` is there"
        assert store.tags(row.arn) == {"generation": str(row.generation)}
        last = row.generation
        store.close()
