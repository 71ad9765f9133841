"""``lab load`` against a server of the test's own: what is printed, kept and refused."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.cli import load as load_verb
from lab.cli import main
from lab.endpoint.addresses import Addresses
from lab.errors import LabError
from lab.load import health
from lab.loadtest.folder import LoadFolder
from lab.loadtest.targets import find
from lab.loadtest.targets.subject import ImageRequest, image_subject
from lab.progress import Silent
from tests.unit.engine.fake import FakeEngine
from tests.unit.load.scripted import OK, Served, served

SCHEDULE = "constant:rate=50,for=200ms"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAB_BUSY", "ignore")
    # A machine that stalls is not what these are about.
    monkeypatch.setattr(health, "MOST_LATE_S", 60.0)


@pytest.fixture
def payload(tmp_path: Path) -> str:
    path = tmp_path / "question.json"
    path.write_text("{}")
    return str(path)


def url(server: Served) -> str:
    return f"http://127.0.0.1:{server.address[1]}/x"


def lab(*words: str) -> int:
    return main.run(["load", *words])


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, as one line."""
    captured = capsys.readouterr()
    return " ".join(f"{captured.out} {captured.err}".split())


@pytest.mark.parametrize("word", [(), ("run",)])
def test_a_target_and_a_schedule_are_a_load(
    word: Sequence[str], payload: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with served() as server:
        assert lab(*word, url(server), SCHEDULE, "--payload", payload) == 0
    folder = LoadFolder.find("latest")
    assert len(folder.requests()) == 10
    assert (folder.path / "report.html").is_file()
    assert "Generator valid" in said(capsys)


def test_json_is_the_summary_alone(payload: str, capsys: pytest.CaptureFixture[str]) -> None:
    with served() as server:
        assert lab(url(server), SCHEDULE, "--payload", payload, "--p95", "30s", "--json") == 0
    captured = capsys.readouterr()
    summary = json.loads(captured.out)
    assert summary["target"]["name"] == url(server)
    assert summary["objective"] == {"q": 0.95, "seconds": 30.0, "errors": None}
    assert "Generator" in captured.err


def test_a_generator_that_was_late_is_told_by_the_exit_code_after_the_report(
    payload: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "MOST_LATE_S", 0.0)
    with served() as server:
        assert lab(url(server), SCHEDULE, "--payload", payload) == 16
    assert (LoadFolder.find("latest").path / "report.html").is_file()
    assert "says nothing of its target" in said(capsys)


def test_a_payload_that_is_refused_ends_it_with_the_answer(
    payload: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = b"HTTP/1.1 415 No\r\nContent-Length: 9\r\n\r\nno images"
    with served(lambda _: answer) as server:
        assert lab(url(server), "constant:rate=1,for=60s", "--payload", payload) == 10
    assert "answered 415 to question.json: no images" in said(capsys)


def test_the_weights_of_payloads_decide_what_is_sent(tmp_path: Path) -> None:
    folder = tmp_path / "bodies"
    folder.mkdir()
    (folder / "a.json").write_text('"a"')
    (folder / "b.json").write_text('"b"')
    (folder / "weights.csv").write_text("a.json,999999\n")
    with served() as server:
        assert lab(url(server), SCHEDULE, "--payload", str(folder)) == 0
    assert set(server.bodies) == {b'"a"'}
    weights = [one.weight for one in LoadFolder.find("latest").load().payloads]
    assert weights == [999999, 1]


# --- going on ------------------------------------------------------------------------------------


def test_a_load_that_is_complete_has_nothing_left_to_send(
    payload: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with served() as server:
        lab(url(server), SCHEDULE, "--payload", payload)
        before = len(server.bodies)
        assert lab("--resume", "latest", "--payload", payload) == 0
        assert len(server.bodies) == before
    assert "is complete: nothing is left to send" in said(capsys)


def _cut(folder: LoadFolder, *, keep: int) -> None:
    lines = folder.requests_path.read_text().splitlines(keepends=True)
    folder.requests_path.write_text("".join(lines[:keep]))


def test_a_load_that_was_cut_short_goes_on_with_the_rest_by_its_name_alone(payload: str) -> None:
    with served() as server:
        lab(url(server), SCHEDULE, "--payload", payload)
        folder = LoadFolder.find("latest")
        _cut(folder, keep=4)
        assert lab("--resume", folder.path.name, "--payload", payload) == 0
    found = folder.requests()
    assert sorted(found.number.tolist()) == list(range(10))
    assert found.sitting.tolist() == [0] * 4 + [1] * 6


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["{url}", "constant:rate=50,for=300ms"], "the schedule was"),
        (["{url}y"], "the target was http://127.0.0.1"),
        (["--seed", "7"], "the seed was 0 and is 7"),
        (["--p95", "1s"], "the objective was none and is p95 at most 1000 ms"),
        (["--timeout", "5s"], "the time-out was 60 s and is 5 s"),
    ],
)
def test_a_load_is_not_gone_on_with_as_another(
    words: Sequence[str], what: str, payload: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with served() as server:
        lab(url(server), SCHEDULE, "--payload", payload)
        _cut(LoadFolder.find("latest"), keep=4)
        given = [word.replace("{url}", url(server)) for word in words]
        assert lab(*given, "--resume", "latest", "--payload", payload) == 2
    assert what in said(capsys)
    assert len(LoadFolder.find("latest").requests()) == 4


def test_a_load_is_not_gone_on_with_by_another_payload(
    payload: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with served() as server:
        lab(url(server), SCHEDULE, "--payload", payload)
        Path(payload).write_text('{"more": 1}')
        assert lab("--resume", "latest", "--payload", payload) == 2
    assert "the payloads was question.json (2 bytes" in said(capsys)


# --- what is refused -----------------------------------------------------------------------------


def test_without_a_schedule_there_is_no_load(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("http://127.0.0.1:1") == 2
    assert "A load needs a target and a schedule" in said(capsys)


def test_what_a_url_understands_is_not_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    with served() as server:
        assert lab(url(server), SCHEDULE) == 2
    assert "Add --payload FILE" in said(capsys)
    assert server.bodies == []


@pytest.mark.parametrize(
    ("flag", "what"), [("--size=1024", "is for an image"), ("--region=x", "is for an endpoint on")]
)
def test_a_flag_that_means_nothing_to_a_target_is_refused(
    flag: str, what: str, payload: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("http://127.0.0.1:1", SCHEDULE, "--payload", payload, flag) == 2
    assert what in said(capsys)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    found = FakeEngine()
    monkeypatch.setattr(find, "open_engine", lambda _: found)
    return found


def test_a_target_that_is_nowhere_is_refused_with_those_that_are(
    engine: FakeEngine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.gone.add("thing")
    monkeypatch.setattr(find, "_endpoints", lambda: ["eye", "ear"])
    assert lab("thing", SCHEDULE) == 2
    text = said(capsys)
    assert "thing is no variant, no image that is here and no endpoint" in text
    assert "onnx-slim" in text
    assert "eye, ear" in text


def test_a_bare_name_is_an_image_of_the_engine_before_an_endpoint(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "_endpoints", lambda: ["thing", "eye"])
    engine.gone.add("eye")
    assert find._kind_of("thing", Silent()) == "image"
    assert find._kind_of("eye", Silent()) == "endpoint"


def test_without_an_emulator_its_endpoints_cannot_be_loaded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Addresses, "find", staticmethod(lambda: None))
    assert lab("endpoint:eye", SCHEDULE) == 10
    assert "Start the lab: `lab up`" in said(capsys)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({}, "needs a question"),
        ({"model": "retinopathy-mobilenet"}, "is no variant of the lab's"),
        ({"model_data": Path("nowhere.tar.gz")}, "are not a file"),
    ],
)
def test_what_an_image_of_one_s_own_lacks_is_told_before_anything_starts(
    more: dict[str, object], what: str
) -> None:
    engine = FakeEngine()
    with pytest.raises(LabError, match=what):
        image_subject(ImageRequest(name="mine:1", **more), engine, Silent())  # type: ignore[arg-type]
    assert not engine.made


def test_a_size_that_the_machine_has_not_is_refused(
    engine: FakeEngine, payload: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["image:mine:1", SCHEDULE, "--payload", payload]
    assert lab(*words, "--size", "12GB") == 2
    assert "Serverless inference has no memory size 12GB" in said(capsys)
    assert not engine.made


# --- the group -----------------------------------------------------------------------------------


def test_help_names_the_commands_that_are_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(load_verb._OTHERS, "future", ("load_future", "What is not there yet."))
    assert lab("--help") == 0
    text = said(capsys)
    assert "schedule" in text
    assert "future" not in text


@pytest.mark.parametrize("name", ["run", *load_verb._OTHERS])
def test_every_command_has_help_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name != "run" and not load_verb._is_there(load_verb._OTHERS[name][0]):
        pytest.skip(f"lab load {name} is not there")
    assert lab(name, "--help") == 0
    assert f"Usage: lab load {name}" in said(capsys)


def test_nothing_at_all_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    lab()
    assert "Usage: lab load" in said(capsys)


def test_a_server_that_goes_in_the_middle_fails_the_rest(payload: str) -> None:
    with served(lambda number: OK if number < 3 else b"") as server:
        assert lab(url(server), SCHEDULE, "--payload", payload) == 0
    found = LoadFolder.find("latest").requests()
    assert found.answered.tolist() == [True] * 3 + [False] * 7
    assert all(one for one in found.error[3:])
