"""The ways of packaging the server, a record each, and the floor under them.

All that lists variants derives from these records: their order, the bake file's targets, what an
image is made from, the environments that stand for images where there are no containers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from lab.errors import UsageError
from lab.spec import FLOOR, Platform, Runtime

BASELINE: Final = "baseline"
"""What the others are compared with."""
DEFAULT: Final = "onnx-slim"
"""Served, and deployed, where no variant is named: the smallest and quickest to start."""

_TENSORFLOW: Final = {
    "LAB_BACKEND": "tensorflow",
    "LAB_HTTP": "fastapi",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
_ONNX: Final = {"LAB_BACKEND": "onnx", "LAB_HTTP": "fastapi", "ORT_DISABLE_TELEMETRY": "1"}
_PACKAGING: Final = "services/inference/packaging"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way of packaging the server.

    Its image is built from ``services/inference/Dockerfile.<name>``, whose ``ENV`` says the same
    as ``env`` (a test compares them).
    """

    name: str
    summary: str
    runtime: Runtime | None
    """None serves no model."""
    requirements: str | None = None
    """``requirements/<this>.txt`` is installed."""
    env: Mapping[str, str] = field(default_factory=dict)
    """The service's switches (services/inference/README.md)."""
    stages: tuple[str, ...] = ("tools",)
    """Targets of the bake file that its Dockerfile copies from."""
    inputs: tuple[str, ...] = ()
    """What else the image is made from: files and folders below the checkout's top."""
    dependencies: bool = True
    """False: what is pinned is all that is installed, whatever it says that it needs."""
    environment: bool = True
    """False: packages in a plain folder beside the interpreter, and of ONNX Runtime's package its
    C library alone."""

    @property
    def bake_target(self) -> Mapping[str, Any]:
        """The variant as ``docker buildx bake`` takes a target."""
        return {
            "inherits": ["_variant"],
            "dockerfile": f"services/inference/Dockerfile.{self.name}",
            "contexts": {stage: f"target:{stage}" for stage in self.stages},
            "tags": [f"inference-lab/{self.name}:${{ARCH}}"],
            "labels": {"org.inference-lab.variant": self.name},
        }


VARIANTS: Final[Mapping[str, Variant]] = MappingProxyType(
    {
        variant.name: variant
        for variant in (
            # The largest first: the order of every table.
            Variant(
                name=BASELINE,
                runtime=Runtime.TENSORFLOW,
                summary="As the study began: one stage, compilers, caches, NGINX, full TensorFlow.",
                requirements="baseline",
                env={**_TENSORFLOW, "LAB_NGINX": "1"},
                stages=(),
            ),
            Variant(
                name="twostage",
                runtime=Runtime.TENSORFLOW,
                summary="The same environment, copied into a clean stage without compilers.",
                requirements="baseline",
                env={**_TENSORFLOW, "LAB_NGINX": "1"},
                stages=(BASELINE,),
            ),
            Variant(
                name="slim",
                runtime=Runtime.TENSORFLOW,
                summary="TensorFlow for CPUs, and only what the service imports.",
                requirements="slim",
                env=_TENSORFLOW,
                inputs=(f"{_PACKAGING}/check.py",),
                dependencies=False,
            ),
            Variant(
                name="onnx",
                runtime=Runtime.ONNX,
                summary="ONNX Runtime with NumPy under FastAPI, Uvicorn and Gunicorn.",
                requirements="onnx",
                env=_ONNX,
                inputs=(f"{_PACKAGING}/check.py",),
            ),
            Variant(
                name=DEFAULT,
                runtime=Runtime.ONNX,
                summary="An interpreter, the C library of ONNX Runtime, the app; no shell.",
                requirements="onnx-slim",
                env={**_ONNX, "LAB_BACKEND": "onnx-capi", "LAB_HTTP": "slim"},
                inputs=(_PACKAGING,),
                dependencies=False,
                environment=False,
            ),
            Variant(
                name=FLOOR,
                runtime=None,
                summary="Answers at once and serves no model: what the engine itself costs.",
            ),
        )
    }
)


def variant(name: str) -> Variant:
    """The variant of that name. Raises ``UsageError`` for a name that none has."""
    try:
        return VARIANTS[name]
    except KeyError:
        raise UsageError(
            f"There is no variant {name!r}.", remedy=f"Choose from {', '.join(VARIANTS)}."
        ) from None


def serving() -> Mapping[str, Runtime]:
    """The variants that serve a model, each with what runs it; the largest image first."""
    return {name: one.runtime for name, one in VARIANTS.items() if one.runtime is not None}


def runtime_of(name: str) -> Runtime:
    """What runs a variant's model. Raises ``UsageError`` for one that serves none, or is none."""
    runtime = variant(name).runtime
    if runtime is None:
        raise UsageError(f"{name} serves no model.", remedy=f"Choose from {', '.join(serving())}.")
    return runtime


def bake_definition() -> Mapping[str, Any]:
    """The targets that ``services/docker-bake.hcl`` leaves to these records, as a bake file."""
    return {
        "target": {name: VARIANTS[name].bake_target for name in serving()},
        "group": {"variants": {"targets": list(VARIANTS)}, "default": {"targets": [DEFAULT]}},
    }


def image_ref(variant: str, platform: Platform) -> str:
    """The image's name: ``inference-lab/onnx-slim:amd64``."""
    return f"inference-lab/{variant}:{platform.arch}"
