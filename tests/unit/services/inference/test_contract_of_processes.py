"""The hosting contract, on real sockets, of each HTTP stack as a plain process."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.contract_client import KNOBS, Contract, Served
from tests.unit.services.inference.conftest import STACKS, child


@pytest.fixture(scope="module", params=STACKS)
def served(
    request: pytest.FixtureRequest,
    model_dir: Path,
    ort_library: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    if request.param == "nginx" and shutil.which("nginx") is None:
        pytest.skip("there is no nginx here")
    env = {
        "LAB_MODEL_DIR": str(model_dir),
        "LAB_ORT_LIBRARY": str(ort_library),
        **STACKS[request.param],
        **KNOBS,
    }
    with child(env, tmp_path_factory.mktemp("service")) as running:
        yield running.ready()


class TestTheContractOfAProcess(Contract):
    pass
