"""The five ways of packaging the server, and the floor under them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from lab.errors import UsageError
from lab.spec import FLOOR, Platform, Runtime


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way of packaging the server. ``runtime`` None serves no model."""

    name: str
    runtime: Runtime | None
    summary: str


VARIANTS: Final[Mapping[str, Variant]] = MappingProxyType(
    {
        variant.name: variant
        for variant in (
            Variant(
                name="baseline",
                runtime=Runtime.TENSORFLOW,
                summary="As the study began: one stage, compilers, caches, NGINX, full TensorFlow.",
            ),
            Variant(
                name="twostage",
                runtime=Runtime.TENSORFLOW,
                summary="The same environment, copied into a clean stage without compilers.",
            ),
            Variant(
                name="slim",
                runtime=Runtime.TENSORFLOW,
                summary="TensorFlow for CPUs, and only what the service imports.",
            ),
            Variant(
                name="onnx",
                runtime=Runtime.ONNX,
                summary="ONNX Runtime with NumPy under FastAPI, Uvicorn and Gunicorn.",
            ),
            Variant(
                name="onnx-slim",
                runtime=Runtime.ONNX,
                summary="An interpreter, the C library of ONNX Runtime, the app; no shell.",
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
    """The variants that serve a model, each with what runs it."""
    return {name: one.runtime for name, one in VARIANTS.items() if one.runtime is not None}


def runtime_of(name: str) -> Runtime:
    """What runs a variant's model. Raises ``UsageError`` for one that serves none, or is none."""
    runtime = variant(name).runtime
    if runtime is None:
        raise UsageError(f"{name} serves no model.", remedy=f"Choose from {', '.join(serving())}.")
    return runtime


def image_ref(variant: str, platform: Platform) -> str:
    """The image's name: ``inference-lab/onnx-slim:amd64``."""
    return f"inference-lab/{variant}:{platform.arch}"
