"""The contract check on images that break one rule each, and on the lab's own, which break none."""

import json
import random
import string
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.artifacts import build
from lab.contract.check import chosen, entries, run
from lab.contract.model import Finding, Verdict
from lab.contract.outputs import as_json
from lab.contract.saved import save
from lab.contract.session import START_LIMIT_S, Session
from lab.contract.subject import Wish, prepared
from lab.engine.docker import DockerEngine
from lab.engine.manifests import OCI_INDEX, OCI_MANIFEST
from lab.engine.registry import Registry
from lab.images.base import ensure_base
from lab.images.variants import VARIANTS
from lab.process import run as run_program
from lab.progress import Progress, Silent
from lab.spec import FLOOR, Platform, Runtime
from tests.docker.conftest import LONG, MOBILENET

pytestmark = pytest.mark.docker

FOLDER = Path(__file__).parent / "contract_images"
REPOSITORY = "inference-lab-test/contract"
Built = Callable[[str], str]
AT_ONCE = 3


def made_up(prefix: str, length: int) -> str:
    """A token in a well-known format that opens nothing."""
    choose = random.Random(prefix)  # noqa: S311 - the same in every run
    return prefix + "".join(choose.choices(string.ascii_letters, k=length))


TOKEN = made_up("hf_", 34)
CREDENTIALS = f"[default]\naws_secret_access_key = {made_up('', 40)}\n"


@dataclass(frozen=True, kw_only=True)
class Case:
    """An image, and the one rule that it breaks or that warns of it."""

    target: str
    rule: str
    behaviour: str = ""
    verdict: Verdict = Verdict.FAIL
    memory: bool = False
    """Whether the rules about memory are tried too: they take a while."""
    start_limit_s: float = START_LIMIT_S
    arguments: Sequence[str] = field(default=())

    def __str__(self) -> str:
        return self.behaviour or self.target


def server(behaviour: str, rule: str, **rest: Any) -> Case:
    """The sound image with a server that does one thing wrong."""
    return Case(target="broken", behaviour=behaviour, rule=rule, **rest)


CASES = [
    Case(target="shell-form", rule="sigterm-arrives"),
    Case(target="cmd-only", rule="serve"),
    server("wrong-port", "port"),
    server("slow-start", "start-time", start_limit_s=8),
    Case(target="deaf-to-port", rule="bind-to-port"),
    server("slow-ping", "ping"),
    server("early-ping", "ping-loaded"),
    server("blocked-ping", "ping-load"),
    server("few-at-once", "concurrent"),
    server("always-500", "invocation"),
    server("small-bodies", "payload-6mb"),
    server("strict-headers", "unknown-headers"),
    server("dies-on-garbage", "garbage"),
    server("dies-on-chunks", "chunked"),
    server("dies-on-unknown-paths", "unknown-paths"),
    server("hangs-up", "keep-alive"),
    server("type-500", "content-type", verdict=Verdict.WARN),
    server("writes-model", "model-read-only"),
    server("needs-root", "non-root"),
    server("needs-network", "no-network"),
    Case(target="writes-root", rule="read-only-root"),
    server("ignores-sigterm", "sigterm"),
    server("drops-requests", "in-flight"),
    server("leaks", "memory-steady", memory=True),
    server("large", "memory-tiers", memory=True, verdict=Verdict.WARN),
    Case(target="wrong-platform", rule="platform"),
    Case(target="secret-env", rule="secrets-config", arguments=(f"--build-arg=SECRET={TOKEN}",)),
    Case(
        target="secret-argument", rule="secrets-config", arguments=(f"--build-arg=SECRET={TOKEN}",)
    ),
    Case(target="secret-deleted", rule="secrets-layers"),
    Case(target="chooses-user", rule="user", verdict=Verdict.WARN),
    Case(target="only-label-multi-model", rule="kind-multi-model"),
    Case(target="only-label-bidirectional", rule="kind-bidirectional"),
]


class Checks:
    """Checks images with a model folder and a payload."""

    def __init__(self, engine: DockerEngine, folder: Path) -> None:
        self.engine = engine
        self._model = folder / "model"
        self._model.mkdir()
        (self._model / "weights.json").write_text("[1, 2, 3]")
        self._payload = folder / "payload.json"
        self._payload.write_text(json.dumps({"instances": [[1.0]]}))

    def own(self, image: str, **how: Any) -> Sequence[Finding]:
        """Check an image of this folder."""
        wish = Wish(image=image, model_data=str(self._model), payload=self._payload)
        return self.of(wish, **how)

    def of(
        self,
        wish: Wish,
        *,
        memory: bool = False,
        start_limit_s: float = START_LIMIT_S,
        only: Sequence[str] = (),
    ) -> Sequence[Finding]:
        """Check an image."""
        wanted = chosen(only, quick=not memory, among=entries())
        with prepared(wish, self.engine, Silent()) as (subject, where):
            session = Session(subject, where, start_limit_s=start_limit_s, quick=True)
            with closing(session):
                verdicts = run(session, wanted, Silent())
        assert "the check itself failed" not in as_json(verdicts)
        return verdicts.findings


class Images:
    """The images of this folder, built once each."""

    def __init__(self, engine: DockerEngine, base: str, floor: str) -> None:
        self._engine = engine
        self._given = (f"--build-arg=BASE={base}", f"--build-arg=FLOOR={floor}")
        self.made: set[str] = set()

    def build(self, case: Case) -> str:
        ref = f"{REPOSITORY}:{case}"
        if ref in self.made:
            return ref
        with tempfile.NamedTemporaryFile("w", suffix=".ini") as secret:
            secret.write(CREDENTIALS)
            secret.flush()
            run_program(
                [
                    *("docker", "buildx", "--builder", "default", "build", "--load"),
                    *("--target", case.target, "--tag", ref, "--provenance=false"),
                    *("--secret", f"id=credentials,src={secret.name}"),
                    *self._given,
                    f"--build-arg=BREAK={case.behaviour}",
                    *case.arguments,
                    FOLDER,
                ],
                env={"DOCKER_HOST": self._engine.address, "DOCKER_CONTEXT": ""},
            )
        self.made.add(ref)
        return ref

    def forget(self) -> None:
        for ref in self.made:
            self._engine.client.remove_image(ref, force=True)


@pytest.fixture(scope="module")
def images(
    engine: DockerEngine, platform: Platform, built: Built, progress: Progress
) -> Iterator[Images]:
    floor = built(FLOOR)
    made = Images(engine, ensure_base(platform, engine, progress).ref, floor)
    yield made
    made.forget()


@pytest.fixture(scope="module")
def checks(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Checks:
    return Checks(engine, tmp_path_factory.mktemp("contract"))


def named(findings: Sequence[Finding], verdict: Verdict) -> dict[str, str]:
    return {one.rule.id: one.seen for one in findings if one.verdict is verdict}


def test_an_image_that_keeps_the_contract_breaks_no_rule(checks: Checks, images: Images) -> None:
    findings = checks.own(images.build(Case(target="sound", rule="")), memory=True)
    assert named(findings, Verdict.FAIL) == {}
    assert set(named(findings, Verdict.WARN)) == {"kind-multi-model"}
    assert set(named(findings, Verdict.SKIP)) == {"bind-to-port", "kind-bidirectional"}


@pytest.fixture(scope="module")
def under_way(
    request: pytest.FixtureRequest, checks: Checks, images: Images
) -> Iterator[Mapping[str, Future[Sequence[Finding]]]]:
    """The checks of all selected cases, a few at a time: most of a check is waiting."""
    calls = [
        item.callspec
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.path == request.path
        and hasattr(item, "callspec")
    ]
    selected = [case for call in calls if isinstance(case := call.params.get("case"), Case)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            str(case): pool.submit(
                checks.own,
                images.build(case),
                memory=case.memory,
                start_limit_s=case.start_limit_s,
            )
            for case in selected
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_image_that_breaks_one_rule_is_told_exactly_that_rule(
    under_way: Mapping[str, Future[Sequence[Finding]]], case: Case
) -> None:
    findings = under_way[str(case)].result()
    broken = named(findings, Verdict.FAIL)
    if case.verdict is Verdict.FAIL:
        assert set(broken) == {case.rule}, broken
    else:
        assert broken == {}
        assert case.rule in named(findings, case.verdict)


def test_a_multi_model_server_is_told_so(checks: Checks, images: Images) -> None:
    findings = checks.own(images.build(Case(target="multi-model", rule="")))
    assert named(findings, Verdict.FAIL) == {}
    assert "kind-multi-model" in named(findings, Verdict.PASS)


def test_no_finding_holds_the_secret_itself(checks: Checks, images: Images) -> None:
    for case in [case for case in CASES if case.target.startswith("secret-")]:
        findings = checks.own(images.build(case), only=["secrets-layers", "secrets-config"])
        assert named(findings, Verdict.FAIL)
        said = repr(findings)
        assert TOKEN not in said
        assert CREDENTIALS.rsplit(maxsplit=1)[-1] not in said


def test_a_secret_that_a_later_layer_removes_is_found_with_its_path_and_its_layer(
    engine: DockerEngine, images: Images
) -> None:
    case = next(case for case in CASES if case.target == "secret-deleted")
    image = save(engine, images.build(case))
    found = [
        (one.path, number, image.gone_in(number, one.path))
        for number, layer in enumerate(image.layers, 1)
        for one in layer.leaks
    ]
    last = len(image.layers)
    assert found
    assert set(found) == {("root/.aws/credentials", last - 1, last)}


# --- manifests ----------------------------------------------------------------------------------


class Pushed:
    """Puts an image into a registry with whatever manifest is wanted."""

    def __init__(self, engine: DockerEngine, registry: Registry) -> None:
        self._engine = engine
        self._registry = registry
        self._http = httpx.Client(base_url=f"http://{registry.host}/v2", trust_env=False)

    def __call__(self, ref: str, name: str, *, index: bool) -> str:
        """The name by which it is pulled."""
        docker = self._registry.push(self._engine, ref, Silent())
        repository = docker.repository
        said = self._http.get(
            f"/{repository}/manifests/{docker.tag}", headers={"Accept": docker.media_type}
        ).json()
        oci = "application/vnd.oci.image"
        said["mediaType"] = OCI_MANIFEST
        said["config"]["mediaType"] = f"{oci}.config.v1+json"
        for layer in said["layers"]:
            layer["mediaType"] = f"{oci}.layer.v1.tar+gzip"
        if not index:
            self._put(repository, name, OCI_MANIFEST, said)
            return f"{self._registry.host}/{repository}:{name}"
        entries = [
            {**self._put(repository, f"{name}-image", OCI_MANIFEST, said), "platform": platform}
            for platform in (
                {"os": "linux", "architecture": "amd64"},
                {"os": "unknown", "architecture": "unknown"},
            )
        ]
        content = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        self._put(repository, name, OCI_INDEX, content)
        return f"{self._registry.host}/{repository}:{name}"

    def _put(self, repository: str, tag: str, kind: str, content: object) -> dict[str, Any]:
        body = json.dumps(content).encode()
        answer = self._http.put(
            f"/{repository}/manifests/{tag}", content=body, headers={"Content-Type": kind}
        ).raise_for_status()
        digest = answer.headers["Docker-Content-Digest"]
        return {"mediaType": kind, "digest": digest, "size": len(body)}

    def close(self) -> None:
        self._http.close()


@pytest.fixture(scope="module")
def pushed(engine: DockerEngine, built: Built, progress: Progress) -> Iterator[Pushed]:
    registry = Registry.ensure(engine, built("registry"), progress)
    made = Pushed(engine, registry)
    yield made
    made.close()
    registry.close()


@pytest.mark.parametrize(("name", "index"), [("oci", 0), ("attested", 1)])
def test_an_image_from_a_registry_that_holds_it_as_oci_is_told_so(
    engine: DockerEngine, checks: Checks, images: Images, pushed: Pushed, name: str, index: int
) -> None:
    sound = images.build(Case(target="sound", rule=""))
    ref = pushed(sound, name, index=bool(index))
    engine.client.remove_image(sound, force=True)
    images.made.remove(sound)
    engine.pull(ref)
    try:
        broken = named(checks.own(ref), Verdict.FAIL)
        assert set(broken) == {"manifest"}, broken
        assert ("attestations" in broken["manifest"]) is bool(index)
    finally:
        engine.client.remove_image(ref, force=True)


def test_an_image_that_was_pushed_as_docker_schema_2_passes(
    engine: DockerEngine, images: Images, pushed: Pushed, checks: Checks
) -> None:
    sound = images.build(Case(target="sound", rule=""))
    pushed._registry.push(engine, sound, Silent())
    findings = checks.own(sound, only=["manifest"])
    manifest = named(findings, Verdict.PASS)["manifest"]
    assert "holds a Docker schema 2 manifest" in manifest


# --- the lab's own images -----------------------------------------------------------------------


_LIKE_BASELINE = pytest.mark.skipif(
    not LONG, reason="takes minutes, and is baseline's server and library: make test-long"
)


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(name, marks=[_LIKE_BASELINE] if name in {"twostage", "slim"} else [])
        for name in VARIANTS
    ],
)
def test_none_of_the_labs_own_images_breaks_a_rule(
    engine: DockerEngine, checks: Checks, built: Built, progress: Progress, variant: str
) -> None:
    build.ensure([MOBILENET], engine=engine, progress=progress)
    wish = Wish(image=built(variant), model_data=None if variant == FLOOR else MOBILENET)
    # Six tiers of TensorFlow take minutes; each of its images is measured in them by the benches.
    tiers = VARIANTS[variant].runtime is not Runtime.TENSORFLOW
    findings = checks.of(wish, memory=tiers)
    assert named(findings, Verdict.FAIL) == {}
    kept = {"secrets-layers", "secrets-config", "platform", "kind-serverless"}
    assert kept <= set(named(findings, Verdict.PASS)), named(findings, Verdict.SKIP)
