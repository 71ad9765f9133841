"""Images that are easily taken wrong, started on demand; and the filler control."""

import secrets
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from lab.coldstart.executor import ColdStartBench, ContainerExecutor
from lab.coldstart.observe import Limits
from lab.coldstart.record import Cell, FailureKind, Sample
from lab.coldstart.schedule import Trial
from lab.coldstart.sites import Cold, cold_hosts
from lab.coldstart.trial import Subject
from lab.engine.api import Container, ContainerSpec, Engine
from lab.engine.coldhost.flat import flatten
from lab.engine.coldhost.host import cold_host
from lab.engine.coldhost.ondemand import Speed, on_demand
from lab.engine.docker.engine import DockerEngine
from lab.errors import EngineError
from lab.progress import Progress, Silent
from lab.spec import FLOOR, LABEL_OWNER, Phase, Platform, StartKind
from tests.docker.advice import images
from tests.docker.advice.conftest import Small
from tests.docker.advice.listing import Listed, listed
from tests.docker.known import remove
from tests.timing import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("advice_on_demand")]

OWNER = f"test-{secrets.token_hex(4)}"
LINK = Speed(bandwidth=400_000_000, latency_s=0.001)
FILLER = 64 << 20
ODD = [pytest.param(name, id=name, marks=pytest.mark.long) for name in images.ODD]


@pytest.fixture(scope="module")
def helper(built: Callable[[str], str]) -> str:
    built("registry")
    return built("coldhost")


@pytest.fixture
def bench(engine: DockerEngine, tmp_path: Path) -> Iterator[ColdStartBench]:
    yield ColdStartBench(
        engine=engine,
        facts=engine.facts(),
        limits=Limits(probe_interval_s=0.01, ready_timeout_s=60.0),
        owner=OWNER,
        work=tmp_path / "work",
    )
    assert engine.containers({LABEL_OWNER: OWNER}) == []


def subject(ref: str) -> Subject:
    return Subject(
        image=ref, archive=None, payload=images.PAYLOAD.read_bytes(), content_type=images.JSON
    )


def measured(bench: ColdStartBench, cold: Cold, ref: str, kind: StartKind) -> Sample:
    """A good sample; a trial that a stall of the machine spoilt is made again."""
    cell = Cell(
        variant="small", model="none", platform=bench.facts.platform, tier="host", start_kind=kind
    )
    cold_bench = replace(bench, cold=cold.pulled, on_demand=cold.demanded)
    executor = ContainerExecutor(cold_bench, lambda _: subject(ref))
    try:
        for _ in range(5):
            sample = executor.run(Trial(index=0, block=1, cell=cell))
            if sample.failure is None or sample.failure.kind is not FailureKind.INCONSISTENT:
                break
    finally:
        executor.close()
    assert sample.failure is None, sample.failure
    return sample


def test_what_nobody_reads_costs_a_pull_and_no_start_on_demand(
    bench: ColdStartBench,
    engine: DockerEngine,
    small: Small,
    helper: str,
    platform: Platform,
    progress: Progress,
) -> None:
    refs = {count: small(f"filler-{count}", images.filler(count)) for count in (0, FILLER)}
    with cold_hosts(
        engine,
        [(subject(ref), platform) for ref in refs.values()],
        kinds={StartKind.ONDEMAND, StartKind.PULL},
        native=platform,
        speed=LINK,
        owner=OWNER,
        progress=progress,
    ) as cold:
        demanded, pulled = (
            {count: measured(bench, cold, ref, kind) for count, ref in refs.items()}
            for kind in (StartKind.ONDEMAND, StartKind.PULL)
        )
    without, with_filler = demanded[0].chunks, demanded[FILLER].chunks
    assert without is not None
    assert with_filler is not None
    assert with_filler.image_bytes - without.image_bytes >= FILLER
    assert without.bytes >= images.WEIGHTS_BYTES
    assert with_filler.count <= 1.05 * without.count
    assert without.count <= 1.05 * with_filler.count
    assert pulled[FILLER].pulled_layers == (pulled[0].pulled_layers or 0) + 1
    # The filler alone is on this link for longer, and no machine is too quick for that.
    least = (FILLER + images.WEIGHTS_BYTES) * 8 / LINK.bandwidth
    assert pulled[FILLER].phases_s[Phase.IMAGE_PULL] >= 0.95 * least


def exported(engine: Engine, container: Container) -> Listed:
    assert isinstance(engine, DockerEngine)
    return listed(engine.client.export(container.id))


def asked(container: Container) -> httpx.Response:
    host, port = container.address()
    url = f"http://{host}:{port}"
    with httpx.Client(trust_env=False) as client:

        def ready() -> bool:
            try:
                return client.get(f"{url}/ping").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(ready)
        return client.post(
            f"{url}/invocations",
            content=images.PAYLOAD.read_bytes(),
            headers={"Content-Type": images.JSON},
        )


def here_and_on_demand(
    engine: DockerEngine, ref: str, helper: str
) -> tuple[tuple[Listed, str], tuple[Listed, str]]:
    """The files and the answer of a container here, and of one whose image comes on demand."""
    spec = ContainerSpec(
        image=ref,
        command=("serve",),
        labels={LABEL_OWNER: OWNER},
        read_only_root=False,
    )
    here = engine.create(spec)
    try:
        here.start()
        expected = (asked(here).text, exported(engine, here))
    finally:
        here.remove()
    flat = flatten(engine, ref, image=helper, owner=OWNER, progress=Silent())
    with (
        cold_host(engine, image=helper, owner=OWNER, flat=True) as host,
        on_demand(host, flat, LINK) as image,
    ):
        image.mount()
        there = host.engine.create(replace(spec, image=image.name, publish=host.publish, labels={}))
        there.start()
        found = (asked(there).text, exported(host.engine, there))
        there.remove()
    return (expected[1], expected[0]), (found[1], found[0])


def test_a_container_on_demand_has_the_files_of_any_other_however_odd(
    engine: DockerEngine, small: Small, helper: str
) -> None:
    ref = small("all-odd", images.all_odd())
    (files, answer), (files_there, answer_there) = here_and_on_demand(engine, ref, helper)
    assert answer == answer_there
    assert files_there == files
    # That the comparison sees what it is about.
    assert files["data/null"][0] == tarfile.CHRTYPE
    assert ("SCHILY.xattr.security.capability", images._CAPABILITY) in files["data/ping"][8]
    assert files["srv/third.txt"][-2:] == ("srv/labels.txt", 2)
    assert "data/caf\udce9.txt" in files
    assert "opaque/old.txt" not in files


@pytest.mark.parametrize("name", ODD)
def test_an_odd_image_starts_on_demand_and_answers_as_ever(
    engine: DockerEngine, small: Small, helper: str, name: str
) -> None:
    ref = small(name, images.ODD[name])
    (files, answer), (files_there, answer_there) = here_and_on_demand(engine, ref, helper)
    assert answer_there == answer
    assert files_there == files


def test_more_names_of_one_file_than_ext4_has_are_refused_by_the_engine_that_loads_them(
    engine: DockerEngine, program: bytes
) -> None:
    if (engine.client.info()["DriverStatus"] or [["", ""]])[0][1] != "extfs":
        pytest.skip("the engine keeps its layers on another file system than ext4")
    first = [images.folder("/data"), images.file("/data/0", b"x")]
    more = [images.second_name(f"/data/{n}", "/data/0") for n in range(1, images.LINKS_OF_EXT4 + 1)]
    with pytest.raises((AssertionError, EngineError), match="too many links"):
        remove(engine, images.load(engine, "too-many", [[*first, *more]]))


@pytest.mark.long
def test_an_image_for_the_other_architecture_starts_on_demand(
    bench: ColdStartBench,
    engine: DockerEngine,
    foreign: Platform,
    foreign_image: Callable[[str], str],
    helper: str,
    platform: Platform,
    progress: Progress,
) -> None:
    ref = foreign_image(FLOOR)
    with cold_hosts(
        engine,
        [(subject(ref), foreign)],
        kinds={StartKind.ONDEMAND},
        native=platform,
        speed=LINK,
        owner=OWNER,
        progress=progress,
    ) as cold:
        bench = replace(bench, on_demand=cold.demanded)
        cell = Cell(
            variant="floor",
            model="none",
            platform=foreign,
            tier="host",
            start_kind=StartKind.ONDEMAND,
        )
        executor = ContainerExecutor(bench, lambda _: subject(ref))
        try:
            sample = executor.run(Trial(index=0, block=1, cell=cell))
        finally:
            executor.close()
    assert sample.failure is None, sample.failure
    assert sample.emulated
    assert sample.chunks is not None
    assert sample.chunks.count > 0
