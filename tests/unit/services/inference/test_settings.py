"""The knobs."""

from pathlib import Path

import pytest

from app.errors import StartError
from app.settings import Settings


def root(folder: Path, quota: str, memory: str = "max") -> str:
    for name, text in {
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/cpu.max": quota,
        "sys/fs/cgroup/memory.max": memory,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return str(folder)


def test_defaults_are_sagemakers(tmp_path: Path) -> None:
    settings = Settings({}, root=root(tmp_path, "max 100000"))
    assert (settings.port, settings.model_dir, settings.workers) == (8080, "/opt/ml/model", 1)
    assert settings.max_body_bytes == 26_214_400
    assert settings.default_accept == "application/json"


@pytest.mark.parametrize(
    ("quota", "threads"), [("58000 100000", 1), ("100000 100000", 1), ("199000 100000", 1)]
)
def test_threads_are_the_whole_cores_of_the_quota_and_one_at_least(
    tmp_path: Path, quota: str, threads: int
) -> None:
    assert Settings({}, root=root(tmp_path, quota)).threads == threads


def test_workers_are_one_however_many_cores_and_what_the_user_says() -> None:
    assert Settings({}).workers == 1
    assert Settings({"SAGEMAKER_MODEL_SERVER_WORKERS": "3"}).workers == 3


def test_the_slim_server_is_always_one_process() -> None:
    assert Settings({"SAGEMAKER_MODEL_SERVER_WORKERS": "3", "LAB_HTTP": "slim"}).workers == 1


def test_bodies_that_wait_may_take_a_quarter_of_the_memory_and_one_always_fits(
    tmp_path: Path,
) -> None:
    settings = Settings({}, root=root(tmp_path, "max", "1073741824"))
    assert settings.max_waiting_bytes == 268_435_456
    tight = Settings({"LAB_MAX_BODY_BYTES": "900000000"}, root=root(tmp_path, "max", "1073741824"))
    assert tight.max_waiting_bytes == 900_000_000


@pytest.mark.parametrize(
    "env",
    [
        {"SAGEMAKER_BIND_TO_PORT": "http"},
        {"SAGEMAKER_BIND_TO_PORT": "0"},
        {"SAGEMAKER_BIND_TO_PORT": "65536"},
        {"SAGEMAKER_MODEL_SERVER_WORKERS": "-1"},
        {"SAGEMAKER_MODEL_SERVER_TIMEOUT": "1.5"},
        {"LAB_MAX_BODY_BYTES": "٣"},
        {"LAB_THREADS": "9" * 5000},
        {"LAB_BACKEND": "torch"},
        {"LAB_HTTP": "flask"},
        {"LAB_LOG_LEVEL": "loud"},
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(env: dict[str, str]) -> None:
    (name,) = env
    with pytest.raises(StartError, match=name):
        Settings(env)


def test_an_empty_value_is_the_default() -> None:
    assert Settings({"SAGEMAKER_BIND_TO_PORT": "", "LAB_BACKEND": " "}).port == 8080
