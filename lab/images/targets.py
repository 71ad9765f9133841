"""What the bake file can build, and what each of it is made from."""

import hashlib
import json
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.errors import UsageError
from lab.images.variants import VARIANTS, Variant, image_ref, serving
from lab.paths import ROOT
from lab.spec import FLOOR, Platform

BAKE_FILE: Final = "services/docker-bake.hcl"

LABEL_FINGERPRINT: Final = "org.inference-lab.fingerprint"
"""On every image: what it was built from, so that an unchanged one is not built again."""

COMPILED_ACROSS: Final = frozenset({FLOOR})
"""Made on the engine's own platform whatever they are for: without QEMU, and without a base of the
other one."""

_TOOLS: Final = ("services/base/Dockerfile", "requirements/uv.txt")
_APP: Final = ("services/inference/app", "services/inference/serve")
_PROMETHEUS: Final = ("Dockerfile", "prometheus.yml", "rules")
_IGNORED: Final = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"})


@dataclass(frozen=True, kw_only=True)
class BuildTarget:
    """An image of the bake file. ``inputs`` are files and folders below the checkout's top."""

    name: str
    inputs: Sequence[str]
    steps: Sequence[str] = ()
    """Other images that it copies from: the build has them anyway, so they are kept."""
    upstream: bool = False
    """Somebody else's program: pulled where a registry answers (see ``thirdparty``)."""
    packaged: bool = True
    """It can be built from packages, as all but one of the others' can."""
    definition: str = ""
    """How it is built, where the bake file does not say."""

    def ref(self, platform: Platform) -> str:
        return image_ref(self.name, platform)


def _of(variant: Variant) -> BuildTarget:
    """What a variant's image is made from, with all that its stages are."""
    return BuildTarget(
        name=variant.name,
        steps=tuple(stage for stage in variant.stages if stage in VARIANTS),
        inputs=(
            BAKE_FILE,
            f"services/inference/Dockerfile.{variant.name}",
            *(f"services/inference/Dockerfile.{one}" for one in variant.stages if one in VARIANTS),
            *_APP,
            *([f"requirements/{variant.requirements}.txt"] if variant.requirements else []),
            *(_TOOLS if "tools" in variant.stages else []),
            *variant.inputs,
        ),
        definition=json.dumps(variant.bake_target, sort_keys=True),
    )


def _upstream(name: str, *more: str, packaged: bool = True) -> BuildTarget:
    return BuildTarget(
        name=name, upstream=True, packaged=packaged, inputs=(BAKE_FILE, f"services/{name}", *more)
    )


TARGETS: Final = {
    target.name: target
    for target in (
        *(_of(VARIANTS[name]) for name in serving()),
        BuildTarget(name=FLOOR, inputs=(BAKE_FILE, *_TOOLS, "services/floor")),
        BuildTarget(name="coldhost", inputs=(BAKE_FILE, "services/coldhost")),
        _upstream("registry"),
        _upstream("s3", *_TOOLS, "requirements/s3.txt"),
        BuildTarget(
            name="prometheus",
            upstream=True,
            # Not its tests: a changed one makes no other image.
            inputs=(
                BAKE_FILE,
                *(f"services/prometheus/{part}" for part in _PROMETHEUS),
            ),
        ),
        _upstream("pushgateway"),
        _upstream("grafana", packaged=False),
        BuildTarget(
            name="endpoint",
            inputs=(
                BAKE_FILE,
                *_TOOLS,
                "services/endpoint",
                "requirements/endpoint.txt",
                "lab",
            ),
        ),
        BuildTarget(
            name="peers",
            inputs=(BAKE_FILE, *_TOOLS, "services/peers", "requirements/peers.txt"),
        ),
        BuildTarget(
            name="trainer",
            inputs=(
                BAKE_FILE,
                *_TOOLS,
                "services/trainer/Dockerfile",
                "requirements/trainer.txt",
            ),
        ),
    )
}


def target(name: str) -> BuildTarget:
    """The target of that name. Raises ``UsageError`` for a name that none has."""
    try:
        return TARGETS[name]
    except KeyError:
        raise UsageError(
            f"There is no image {name!r} to build.",
            remedy=f"Choose from {', '.join((*VARIANTS, *(set(TARGETS) - set(VARIANTS))))}.",
        ) from None


def fingerprint(target: BuildTarget, *, base: str, root: Path = ROOT) -> str:
    """A digest of everything the image is made from: its inputs and the id of its base.

    What a build downloads is pinned by hash in the inputs, but for Debian's packages: these are as
    old as the base.
    """
    digest = hashlib.sha256(f"{base}{target.definition}".encode())
    for path in _files(target.inputs, root):
        executable = bool(path.stat().st_mode & stat.S_IXUSR)
        digest.update(f"\0{path.relative_to(root)}\0{executable}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


def _files(inputs: Sequence[str], root: Path) -> Iterator[Path]:
    for name in inputs:
        path = root / name
        if path.is_dir():
            yield from (
                file
                for file in sorted(path.rglob("*"))
                if file.is_file()
                and file.suffix != ".md"
                and not _IGNORED & set(file.relative_to(root).parts)
            )
        else:
            yield path
