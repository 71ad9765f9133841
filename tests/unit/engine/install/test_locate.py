import hashlib
import json
from pathlib import Path

import pytest

from lab.engine.install.locate import Candidate, ask, candidates, find_engine, ping, search
from lab.engine.install.places import Places
from lab.errors import EngineError
from tests.unit.engine.fakedocker import FakeDocker


def _context(home: Path, name: str, host: str) -> None:
    folder = home / ".docker/contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    meta = {"Name": name, "Endpoints": {"docker": {"Host": host}}}
    (folder / "meta.json").write_text(json.dumps(meta))


def _origins(env: dict[str, str], home: Path) -> list[tuple[str, str]]:
    return [(candidate.address, candidate.origin) for candidate in candidates(env, home=home)]


def test_a_bare_environment_names_the_default_socket_and_then_the_lab_s_own(
    tmp_path: Path,
) -> None:
    assert _origins({}, tmp_path) == [
        ("unix:///var/run/docker.sock", "the default socket"),
        ("unix:///run/inference-lab/docker.sock", "the lab's private engine"),
    ]


def test_engines_are_tried_in_the_order_of_docker_s_own_client(tmp_path: Path) -> None:
    _context(tmp_path, "work", "tcp://work:2375")
    _context(tmp_path, "home", "tcp://home:2375")
    (tmp_path / ".docker/config.json").write_text('{"currentContext": "home"}')
    env = {
        "DOCKER_CONTEXT": "work",
        "DOCKER_HOST": "tcp://host:2375",
        "LAB_ENGINE_ROOT": str(tmp_path / "e"),
    }
    assert [address for address, _ in _origins(env, tmp_path)] == [
        "tcp://work:2375",
        "tcp://host:2375",
        "tcp://home:2375",
        "unix:///var/run/docker.sock",
        f"unix://{tmp_path}/e/docker.sock",
    ]


def test_docker_s_settings_may_lie_elsewhere(tmp_path: Path) -> None:
    _context(tmp_path, "work", "tcp://work:2375")
    (tmp_path / ".docker/config.json").write_text('{"currentContext": "work"}')
    env = {"DOCKER_CONFIG": str(tmp_path / ".docker")}
    assert _origins(env, tmp_path / "nowhere")[0] == (
        "tcp://work:2375",
        "the Docker context in use (work)",
    )


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"currentContext": "gone"}'])
def test_broken_settings_of_docker_s_client_are_no_obstacle(tmp_path: Path, text: str) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(text)
    assert len(_origins({}, tmp_path)) == 2


def test_one_address_is_asked_once(tmp_path: Path) -> None:
    env = {"DOCKER_HOST": "unix:///var/run/docker.sock"}
    assert len(_origins(env, tmp_path)) == 2


def test_an_engine_that_answers_is_found(docker: FakeDocker) -> None:
    env = {"DOCKER_HOST": docker.address}
    seen = search(env)
    assert seen.found is not None
    assert seen.found.origin == "DOCKER_HOST"
    engine = find_engine(env)
    assert engine is not None
    assert engine.address == docker.address
    engine.close()


def test_the_search_goes_on_behind_a_socket_that_nobody_listens_on(
    short: Path, docker: FakeDocker
) -> None:
    env = {"DOCKER_HOST": f"unix://{short}/none", "LAB_ENGINE_ROOT": str(short)}
    seen = search(env)
    assert seen.found is not None
    assert seen.found.origin == "the lab's private engine"
    assert seen.refused[0].why == f"no {short}/none"
    assert docker.asked


def test_a_file_that_is_no_socket_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refusal = ask(Candidate(address=f"unix://{tmp_path}/file", origin="x"))
    assert refusal is not None
    assert not refusal.forbidden


def test_a_socket_without_permission_is_told_from_an_absent_one(
    docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    refusal = ask(Candidate(address=docker.address, origin="x"))
    assert refusal is not None
    assert refusal.forbidden
    assert docker.asked == []


def test_an_answer_that_is_no_engine_s_is_not_taken_for_one(docker: FakeDocker) -> None:
    docker.answer("GET", "/version", raw=b"<html>hello</html>")
    with pytest.raises(EngineError):
        ping(docker.address)


def test_all_of_a_private_engine_s_sockets_fit_the_kernel_s_limit(tmp_path: Path) -> None:
    Places.here({}).check()
    deep = Places.here({"LAB_ENGINE_ROOT": f"/{'d' * 80}"})
    with pytest.raises(EngineError, match="107 bytes"):
        deep.check()
    assert Places.here({"LAB_ENGINE_ROOT": str(tmp_path)}).socket == tmp_path / "docker.sock"
