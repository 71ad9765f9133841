"""Platform, size, layers, manifest and entry point, judged."""

from collections.abc import Sequence

import pytest

from lab.contract.model import Verdict
from lab.contract.rules.entrypoint import judge_entry, judge_exposed, judge_user
from lab.contract.rules.image import SIZE_LIMIT, judge_layers, judge_platform, judge_size
from lab.contract.rules.manifest import Held, judge_manifest
from lab.engine.registry.manifests import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from lab.spec import Platform

AMD64, ARM64 = 0x3E, 0xB7


@pytest.mark.parametrize(
    ("declared", "programs", "entry", "verdict"),
    [
        (Platform.AMD64, {"serve": AMD64}, "/serve", Verdict.PASS),
        (Platform.AMD64, {}, "", Verdict.PASS),
        (Platform.AMD64, {"serve": ARM64}, "/serve", Verdict.FAIL),
        (Platform.AMD64, {"serve": ARM64, "a": AMD64, "b": AMD64}, "/serve", Verdict.FAIL),
        (Platform.AMD64, {"a": ARM64, "b": ARM64, "c": AMD64}, "python3", Verdict.FAIL),
        (Platform.AMD64, {"a": AMD64, "b": AMD64, "c": ARM64}, "python3", Verdict.PASS),
        (Platform.ARM64, {"serve": ARM64}, "/serve", Verdict.WARN),
        (Platform.ARM64, {"serve": AMD64}, "/serve", Verdict.FAIL),
    ],
)
def test_programs_must_be_for_the_declared_platform_and_arm64_is_for_few(
    declared: Platform, programs: dict[str, int], entry: str, verdict: Verdict
) -> None:
    assert judge_platform(declared, programs, entry)[0] is verdict


def test_ten_gigabytes_are_the_limit_and_near_it_warns() -> None:
    assert judge_size(SIZE_LIMIT)[0] is Verdict.WARN
    assert judge_size(SIZE_LIMIT + 1)[0] is Verdict.FAIL
    assert judge_size(1_000_000_000)[0] is Verdict.PASS


def test_many_layers_warn() -> None:
    assert judge_layers(1) == (Verdict.PASS, "1 layer")
    assert judge_layers(120)[0] is Verdict.WARN


@pytest.mark.parametrize("media_type", [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, ""])
def test_anything_but_docker_schema_2_fails(media_type: str) -> None:
    held = Held(where="here", media_type=media_type)
    assert judge_manifest(held, origin=None, containerd=False)[0] is Verdict.FAIL


def test_an_index_is_told_with_its_platforms_and_attestations() -> None:
    held = Held(where="here", media_type=OCI_INDEX, architectures=["amd64", "unknown"])
    assert "an OCI index of amd64 with attestations" in held.words


def test_what_is_not_pushed_yet_depends_on_the_engine() -> None:
    assert judge_manifest(None, origin=None, containerd=False)[0] is Verdict.PASS
    assert judge_manifest(None, origin=None, containerd=True)[0] is Verdict.WARN
    assert judge_manifest(None, origin="host/x", containerd=False)[0] is Verdict.WARN
    held = Held(where="here", media_type=DOCKER_MANIFEST)
    assert judge_manifest(held, origin="host/x", containerd=True)[0] is Verdict.PASS


@pytest.mark.parametrize(
    ("entry", "command", "verdict", "words"),
    [
        (["/usr/bin/python3", "/serve.py"], [], Verdict.PASS, "python3"),
        (["/bin/sh", "-c", "python3 serve.py"], [], Verdict.WARN, "shell form"),
        (["sh", "-c", "exec python3 serve.py", "sh"], [], Verdict.PASS, "replaces itself"),
        (["/entry.sh"], [], Verdict.PASS, "entry.sh"),
        (["/bin/bash", "/entry.sh"], [], Verdict.PASS, "entry.sh"),
        ([], ["python3", "serve.py"], Verdict.WARN, "`python3 serve.py`"),
        ([], [], Verdict.WARN, "executes `serve` itself"),
        (["/usr/bin/tini", "--", "serve"], [], Verdict.WARN, "tini is process 1"),
    ],
)
def test_the_form_of_an_entry_point_warns_and_never_fails(
    entry: Sequence[str], command: Sequence[str], verdict: Verdict, words: str
) -> None:
    seen = judge_entry(entry, command)
    assert seen[0] is verdict
    assert words in seen[1]


def test_an_entry_point_is_quoted_without_its_secrets() -> None:
    _, seen = judge_entry(["env", "API_TOKEN=0a1b2c3d4e5f", "serve"], [])
    assert "0a1b2c3d4e5f" not in seen


@pytest.mark.parametrize(
    ("user", "verdict"),
    [("", Verdict.PASS), ("0:0", Verdict.PASS), ("root", Verdict.PASS), ("1000", Verdict.WARN)],
)
def test_a_user_of_its_own_warns(user: str, verdict: Verdict) -> None:
    assert judge_user(user)[0] is verdict


@pytest.mark.parametrize(
    ("ports", "verdict"),
    [(["8080/tcp"], Verdict.PASS), ([], Verdict.PASS), (["5000/tcp"], Verdict.WARN)],
)
def test_another_exposed_port_warns(ports: Sequence[str], verdict: Verdict) -> None:
    assert judge_exposed(ports, told=False)[0] is verdict
