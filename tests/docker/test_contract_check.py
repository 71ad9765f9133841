"""The contract check on images that break one rule each, and on the lab's own, which break none.

A few of them, of every family of rules, are tried by all rules, the others by the rules of their
family; all of them by all rules in ``make test-long``.
"""

import json
import random
import re
import secrets
import string
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.contract.check import chosen, entries, run
from lab.contract.fitness import fitness
from lab.contract.model import RuleFinding, Verdict
from lab.contract.reports.machine import as_json
from lab.contract.running.session import START_LIMIT_S, Session
from lab.contract.subject import CheckRequest, prepared
from lab.engine.docker.engine import DockerEngine
from lab.engine.registry.local import Registry
from lab.engine.registry.manifests import OCI_INDEX, OCI_MANIFEST
from lab.images.base import ensure_base
from lab.images.layers.saved import save
from lab.images.variants import VARIANTS
from lab.process import run as run_program
from lab.progress import Progress, Silent
from lab.spec import FLOOR, Platform, Runtime
from tests.docker import known

pytestmark = pytest.mark.docker

FOLDER = Path(__file__).parent / "contract_images"
REPOSITORY = "inference-lab-test/contract"
Built = Callable[[str], str]
AT_ONCE = 6
ABOUT_PACE = ("ping", "ping-loaded", "workers-loaded", "ping-load", "accept")
"""Rules that a machine may break by a stall of its own."""
FAMILY = {entry.rule.id: entry.section for entry in entries()}


def made_up(prefix: str, length: int) -> str:
    """A token in a well-known format that opens nothing."""
    choose = random.Random(prefix)
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
    token: bool = False
    """Whether its build is given ``TOKEN``."""
    thorough: bool = False
    """Whether all rules are tried every time: it stands for its family."""

    def __str__(self) -> str:
        return self.behaviour or self.target


def server(behaviour: str, rule: str, **rest: Any) -> Case:
    """The sound image with a server that does one thing wrong."""
    return Case(target="broken", behaviour=behaviour, rule=rule, **rest)


CASES = [
    Case(target="shell-form", rule="sigterm-arrives", thorough=True),
    Case(target="cmd-only", rule="serve", thorough=True),
    server("wrong-port", "port", thorough=True),
    server("slow-start", "start-time", start_limit_s=8),
    Case(target="deaf-to-port", rule="bind-to-port"),
    server("slow-ping", "ping"),
    server("early-ping", "ping-loaded", thorough=True),
    server("loads-late", "ping-loaded", thorough=True),
    server("worker-late", "workers-loaded"),
    server("blocked-ping", "ping-load"),
    server("full-backlog", "accept"),
    server("few-at-once", "concurrent"),
    server("always-500", "invocation"),
    server("refuses-all", "invocation"),
    server("redirects", "invocation"),
    server("dies-later", "keeps-running", thorough=True),
    server("worker-dies", "keeps-running"),
    server("small-bodies", "payload-6mb", verdict=Verdict.WARN),
    server("large-answer", "answer-size"),
    server("starts-once", "second-start"),
    server("locks-model", "side-by-side", verdict=Verdict.WARN),
    server("strict-headers", "unknown-headers"),
    server("dies-on-garbage", "garbage", thorough=True),
    server("dies-on-chunks", "chunked"),
    server("dies-on-unknown-paths", "unknown-paths"),
    server("hangs-up", "keep-alive"),
    server("type-500", "content-type", verdict=Verdict.WARN),
    server("writes-model", "model-read-only"),
    server("needs-root", "non-root"),
    server("needs-network", "no-network"),
    Case(target="writes-root", rule="read-only-root", thorough=True),
    server("ignores-sigterm", "sigterm"),
    server("drops-requests", "in-flight", thorough=True),
    server("drops-quick", "in-flight"),
    server("leaks", "memory-steady", memory=True, thorough=True),
    server("large", "memory-tiers", memory=True, verdict=Verdict.WARN),
    Case(target="wrong-platform", rule="platform", thorough=True),
    Case(target="secret-env", rule="secrets-config", token=True),
    Case(target="secret-argument", rule="secrets-config", token=True),
    Case(target="secret-deleted", rule="secrets-layers", thorough=True),
    Case(target="chooses-user", rule="user", verdict=Verdict.WARN),
    server("no-length", "kind-asynchronous", verdict=Verdict.WARN),
    server("long-headers", "kind-asynchronous", verdict=Verdict.WARN),
    Case(target="only-label-multi-model", rule="kind-multi-model", thorough=True),
    Case(target="only-label-bidirectional", rule="kind-bidirectional"),
]
SOUND = Case(target="sound", rule="", memory=True)
MULTI_MODEL = Case(target="multi-model", rule="")
SERVE_ON_PATH = Case(target="serve-on-path", rule="")


@dataclass(frozen=True, kw_only=True)
class Check:
    """An image, and by which rules it is tried."""

    case: Case
    all_rules: bool

    @property
    def only(self) -> Sequence[str]:
        """Those of its rule's family; none stands for all."""
        if self.all_rules:
            return ()
        return [rule for rule, name in FAMILY.items() if name == FAMILY[self.case.rule]]

    def __str__(self) -> str:
        return f"{self.case}" if self.all_rules else f"{self.case}-in-its-family"


CHECKS = [
    *(
        pytest.param(
            Check(case=case, all_rules=True), marks=() if case.thorough else pytest.mark.long
        )
        for case in CASES
    ),
    *(Check(case=case, all_rules=False) for case in CASES if not case.thorough),
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

    def own(self, image: str, **how: Any) -> Sequence[RuleFinding]:
        """Check an image of this folder."""
        wish = CheckRequest(image=image, model_data=str(self._model), payload=self._payload)
        return self.of(wish, **how)

    def of(self, wish: CheckRequest, *, broken: str = "", **how: Any) -> Sequence[RuleFinding]:
        """Check an image, and what was slow once more: ``broken`` is the rule that it breaks."""
        findings = self._once(wish, **how)
        for _ in range(2):
            late = {
                one.rule.id
                for one in findings
                if one.rule.id in ABOUT_PACE
                and one.rule.id != broken
                and one.verdict in {Verdict.FAIL, Verdict.WARN}
            }
            if not late:
                break
            again = self._once(wish, **{**how, "only": sorted(late)})
            findings = [*(one for one in findings if one.rule.id not in late), *again]
        return findings

    def _once(
        self,
        wish: CheckRequest,
        *,
        memory: bool = False,
        start_limit_s: float = START_LIMIT_S,
        only: Sequence[str] = (),
    ) -> Sequence[RuleFinding]:
        wanted = chosen(only, quick=not memory, among=entries())
        with prepared(wish, self.engine, Silent()) as (subject, where):
            session = Session(subject, where, start_limit_s=start_limit_s, quick=True)
            with closing(session):
                verdicts = run(session, wanted, Silent())
        assert "the check itself failed" not in as_json(verdicts)
        return verdicts.findings


class Images:
    """The images of this folder, built once each and all together."""

    def __init__(self, engine: DockerEngine, base: str, floor: str) -> None:
        self._engine = engine
        self._given = {"BASE": base, "FLOOR": floor}
        self.made: set[str] = set()

    def build(self, case: Case) -> str:
        ref = f"{REPOSITORY}:{case}"
        if ref not in self.made:
            self.bake([case])
        return ref

    def bake(self, cases: Sequence[Case]) -> None:
        with tempfile.TemporaryDirectory() as name:
            secret, file = Path(name) / "credentials.ini", Path(name) / "bake.json"
            secret.write_text(CREDENTIALS)
            targets = {
                str(case): {
                    "context": str(FOLDER),
                    "target": case.target,
                    "tags": [f"{REPOSITORY}:{case}"],
                    "args": {
                        **self._given,
                        "BREAK": case.behaviour,
                        **({"SECRET": TOKEN} if case.token else {}),
                    },
                    "secret": [f"type=file,id=credentials,src={secret}"],
                    "output": ["type=docker"],
                }
                for case in cases
            }
            file.write_text(json.dumps({"target": targets}))
            run_program(
                [
                    *("docker", "buildx", "--builder", "default", "bake", "--file", file),
                    *("--provenance=false", *targets),
                ],
                env={"DOCKER_HOST": self._engine.address, "DOCKER_CONTEXT": ""},
            )
        self.made.update(f"{REPOSITORY}:{case}" for case in cases)

    def forget(self) -> None:
        for ref in self.made:
            self._engine.client.remove_image(ref, force=True)


@pytest.fixture(scope="module")
def images(
    engine: DockerEngine, platform: Platform, built: Built, progress: Progress
) -> Iterator[Images]:
    floor = built(FLOOR)
    made = Images(engine, ensure_base(platform, engine, progress).ref, floor)
    made.bake([SOUND, MULTI_MODEL, SERVE_ON_PATH, *CASES])
    yield made
    made.forget()


@pytest.fixture(scope="module")
def checks(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Checks:
    return Checks(engine, tmp_path_factory.mktemp("contract"))


def named(findings: Sequence[RuleFinding], verdict: Verdict) -> dict[str, str]:
    return {one.rule.id: one.seen for one in findings if one.verdict is verdict}


@pytest.fixture(scope="module")
def under_way(
    request: pytest.FixtureRequest, checks: Checks, images: Images
) -> Iterator[Mapping[str, Future[Sequence[RuleFinding]]]]:
    """The checks of all selected cases, a few at a time: most of a check is waiting."""
    selected = [
        check
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.path == request.path
        and hasattr(item, "callspec")
        and isinstance(check := item.callspec.params.get("check"), Check)
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            str(check): pool.submit(
                checks.own,
                images.build(check.case),
                broken=check.case.rule,
                memory=check.case.memory,
                start_limit_s=check.case.start_limit_s,
                only=check.only,
            )
            for check in selected
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_an_image_that_breaks_one_rule_is_told_exactly_that_rule(
    under_way: Mapping[str, Future[Sequence[RuleFinding]]], check: Check
) -> None:
    findings, case = under_way[str(check)].result(), check.case
    broken = named(findings, Verdict.FAIL)
    if case.verdict is Verdict.FAIL:
        assert set(broken) == {case.rule}, broken
    else:
        assert broken == {}
        assert case.rule in named(findings, case.verdict)


@pytest.mark.parametrize("check", [Check(case=SOUND, all_rules=True)], ids=str)
def test_an_image_that_keeps_the_contract_breaks_no_rule(
    under_way: Mapping[str, Future[Sequence[RuleFinding]]], check: Check
) -> None:
    findings = under_way[str(check)].result()
    assert named(findings, Verdict.FAIL) == {}
    assert set(named(findings, Verdict.WARN)) == {"kind-multi-model"}
    assert set(named(findings, Verdict.SKIP)) == {"bind-to-port", "kind-bidirectional"}


@pytest.mark.parametrize("check", [Check(case=MULTI_MODEL, all_rules=True)], ids=str)
def test_a_multi_model_server_is_told_so(
    under_way: Mapping[str, Future[Sequence[RuleFinding]]], check: Check
) -> None:
    findings = under_way[str(check)].result()
    assert named(findings, Verdict.FAIL) == {}
    assert "kind-multi-model" in named(findings, Verdict.PASS)


def case(behaviour: str) -> Case:
    return next(one for one in CASES if one.behaviour == behaviour)


def test_an_image_that_loads_its_model_after_the_first_200_is_judged_warm(
    checks: Checks, images: Images
) -> None:
    only = ["ping-loaded", "invocation", "payload-4mb", "model-read-only"]
    findings = checks.own(images.build(case("loads-late")), only=only)
    seen = named(findings, Verdict.FAIL)["ping-loaded"]
    assert re.search(
        r"answered 500 for [\d.]+ s after the first 200 of /ping: .*not there yet", seen
    )
    assert set(named(findings, Verdict.PASS)) == set(only[1:])


def test_what_every_body_meets_is_no_limit_of_size(checks: Checks, images: Images) -> None:
    only = ["invocation", "payload-4mb", "payload-6mb"]
    findings = checks.own(images.build(case("refuses-all")), only=only)
    broken = {one.rule.id: one for one in findings if one.verdict is Verdict.FAIL}
    assert "for its size" in broken["invocation"].change
    skipped = named(findings, Verdict.SKIP)
    assert all("see invocation" in skipped[rule] for rule in only[1:]), skipped


def test_one_that_dies_later_is_told_once_with_the_log_that_shows_it(
    checks: Checks, images: Images
) -> None:
    only = ["invocation", "keeps-running", "payload-4mb", "garbage", "in-flight", "kind-serverless"]
    findings = checks.own(images.build(case("dies-later")), only=only)
    (broken,) = (one for one in findings if one.verdict is Verdict.FAIL)
    assert broken.rule.id == "keeps-running"
    assert broken.seen.startswith("at invocation 3 of this container: ")
    assert "the third is one too many" in broken.log
    skipped = named(findings, Verdict.SKIP)
    assert all("see keeps-running" in skipped[rule] for rule in ("payload-4mb", "garbage"))
    assert fitness(findings).unfit == (
        "real time",
        "serverless",
        "asynchronous",
        "batch",
        "multi-model",
    )


def test_one_that_takes_5_mb_is_fit_up_to_5_mb(checks: Checks, images: Images) -> None:
    only = [
        *("ping", "concurrent", "invocation", "payload-4mb", "payload-6mb"),
        *("non-root", "read-only-root", "kind-real-time", "kind-batch"),
    ]
    findings = checks.own(images.build(case("small-bodies")), only=only)
    assert named(findings, Verdict.WARN)["payload-6mb"].endswith("it takes 5 MB")
    able = fitness(findings)
    assert able.words == "fit for: real time up to 5 MB, serverless, batch up to 5 MB"


def test_a_full_backlog_has_one_finding(checks: Checks, images: Images) -> None:
    findings = checks.own(
        images.build(case("full-backlog")), only=["ping-load", "accept", "concurrent"]
    )
    assert set(named(findings, Verdict.FAIL)) == {"accept"}


@pytest.mark.parametrize(
    ("behaviour", "verdict"), [("drops-quick", Verdict.FAIL), ("answers-quick", Verdict.PASS)]
)
def test_a_request_is_in_flight_however_quick_the_answers_are(
    checks: Checks, images: Images, behaviour: str, verdict: Verdict
) -> None:
    made = Case(target="broken", behaviour=behaviour, rule="in-flight")
    findings = checks.own(images.build(made), only=["in-flight"])
    assert "half of it sent before SIGTERM" in named(findings, verdict)["in-flight"]


def test_a_program_called_serve_is_as_good_as_an_entry_point(
    checks: Checks, images: Images
) -> None:
    findings = checks.own(images.build(SERVE_ON_PATH), only=["entry-point", "serve"])
    assert set(named(findings, Verdict.PASS)) == {"entry-point", "serve"}


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
def pushed(engine: DockerEngine, built: Built) -> Iterator[Pushed]:
    name = f"inference-lab-registry-contract-{secrets.token_hex(4)}"
    with known.registry(engine, built("registry"), name=name) as registry:
        made = Pushed(engine, registry)
        yield made
        made.close()


@pytest.mark.parametrize("all_rules", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize(("name", "index"), [("oci", 0), ("attested", 1)])
def test_an_image_from_a_registry_that_holds_it_as_oci_is_told_so(
    engine: DockerEngine,
    checks: Checks,
    images: Images,
    pushed: Pushed,
    name: str,
    index: int,
    all_rules: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    family = [rule for rule, name in FAMILY.items() if name == FAMILY["manifest"]]
    sound = images.build(SOUND)
    ref = pushed(sound, name, index=bool(index))
    engine.client.remove_image(sound, force=True)
    images.made.remove(sound)
    engine.pull(ref)
    try:
        broken = named(checks.own(ref, only=() if all_rules else family), Verdict.FAIL)
        assert set(broken) == {"manifest"}, broken
        assert ("attestations" in broken["manifest"]) is bool(index)
    finally:
        engine.client.remove_image(ref, force=True)


def test_an_image_that_was_pushed_as_docker_schema_2_passes(
    engine: DockerEngine, images: Images, pushed: Pushed, checks: Checks
) -> None:
    sound = images.build(SOUND)
    pushed._registry.push(engine, sound, Silent())
    findings = checks.own(sound, only=["manifest"])
    manifest = named(findings, Verdict.PASS)["manifest"]
    assert "holds a Docker schema 2 manifest" in manifest


# --- the lab's own images -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(
            name,
            marks=pytest.mark.long if VARIANTS[name].runtime is Runtime.TENSORFLOW else (),
        )
        for name in VARIANTS
    ],
)
def test_none_of_the_labs_own_images_breaks_a_rule(
    request: pytest.FixtureRequest, checks: Checks, built: Built, variant: str
) -> None:
    model = None if variant == FLOOR else request.getfixturevalue("mobilenet")
    wish = CheckRequest(image=built(variant), model_data=model)
    # Six tiers of TensorFlow take minutes; each of its images is measured in them by the benches.
    tiers = VARIANTS[variant].runtime is not Runtime.TENSORFLOW
    findings = checks.of(wish, memory=tiers)
    assert named(findings, Verdict.FAIL) == {}
    kept = {"secrets-layers", "secrets-config", "platform", "kind-serverless"}
    assert kept <= set(named(findings, Verdict.PASS)), named(findings, Verdict.SKIP)
