"""What `docker compose` finds in the checkout while the stack is up."""

import re
from pathlib import Path

from lab.paths import ROOT
from lab.spec import Platform
from lab.stack import dotenv
from lab.stack.compose import FILE, environment
from lab.stack.settings import StackSettings


def variables(state: Path, **env: str) -> dict[str, str]:
    settings = StackSettings(state=state, env=env)
    return dict(environment("unix:///run/x/docker.sock", settings, platform=Platform.AMD64, cpus=4))


def test_the_variables_that_compose_insists_on_are_left_and_secrets_are_not(
    tmp_path: Path,
) -> None:
    env = {
        "LAB_ACCESS_KEY_ID": "id-of-a-key",
        "LAB_SECRET_ACCESS_KEY": "its-secret",
        "AWS_ENDPOINT_URL_S3": "https://s3.example",
        "AWS_SECRET_ACCESS_KEY": "another-secret",
        "AWS_SESSION_TOKEN": "a-token",
    }
    file = dotenv.write(variables(tmp_path / "state", **env), tmp_path)
    assert file == tmp_path / ".env"
    said = file.read_text()
    for name in ("LAB_STATE", "LAB_PROJECT", "LAB_S3_PORT", "LAB_ARCH"):
        assert f"\n{name}='" in said
    for secret in ("id-of-a-key", "its-secret", "another-secret", "a-token"):
        assert secret not in said
    assert "DOCKER_HOST" not in said  # Compose takes it from the environment only


def test_every_variable_without_a_default_is_among_them(tmp_path: Path) -> None:
    needed = set(re.findall(r"\$\{(\w+):\?", FILE.read_text()))
    dotenv.write(variables(tmp_path / "state"), tmp_path)
    said = (tmp_path / ".env").read_text()
    assert needed == {"LAB_STATE"}
    assert f"\nLAB_STATE='{tmp_path / 'state'}'\n" in said


def test_a_quote_or_a_dollar_in_a_path_stays_what_it_is(tmp_path: Path) -> None:
    dotenv.write({"LAB_STATE": "/a $b/o'clock"}, tmp_path)
    assert "LAB_STATE='/a $b/o\\'clock'\n" in (tmp_path / ".env").read_text()


def test_a_file_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MINE=1\n")
    assert dotenv.write({"LAB_STATE": "/x"}, tmp_path) is None
    dotenv.remove(Path("/x"), tmp_path)
    assert (tmp_path / ".env").read_text() == "MINE=1\n"


def test_stopping_removes_what_this_lab_left_and_nothing_of_another_lab(tmp_path: Path) -> None:
    dotenv.write({"LAB_STATE": "/one", "LAB_PROJECT": "one"}, tmp_path)
    dotenv.write({"LAB_STATE": "/two", "LAB_PROJECT": "two"}, tmp_path)  # the last one's
    dotenv.remove(Path("/one"), tmp_path)
    assert "LAB_STATE='/two'" in (tmp_path / ".env").read_text()
    dotenv.remove(Path("/two"), tmp_path)
    assert not (tmp_path / ".env").exists()
    dotenv.remove(Path("/two"), tmp_path)


def test_it_is_nothing_to_commit_or_to_build_from() -> None:
    assert "/.env" in (ROOT / ".gitignore").read_text().splitlines()
    assert ".env" in (ROOT / ".dockerignore").read_text().splitlines()
