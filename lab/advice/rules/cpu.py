"""Builds for a GPU or a screen in an image that serves from a CPU without one."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from lab.advice.rules.image import LEAST_BYTES, Image, where
from lab.advice.rules.model import AdviceKind, Confidence, Found, Rewrite
from lab.advice.rules.patches import (
    installs,
    name_in,
    other_name,
    parts_of,
    renamed,
)
from lab.images.layers.packages import Package
from lab.spec import Platform
from lab.units import format_bytes

_GPU_RISK: Final = "On an instance with a GPU (ml.g*, ml.p*) it would be missed."
_TORCH_INDEX: Final = "https://download.pytorch.org/whl/cpu"
_NVIDIA: Final = re.compile(
    r"nvidia-.+|(?:pytorch-)?triton|cuda-.+|(?:lib)?cudnn\d*.*|cudatoolkit.*|(?:lib)?nccl\d*(?:-.*)?"
    r"|libcu(?:blas|dart|fft|file|inj|pti|rand|solver|sparse)[\d-].*|libnpp-.*"
    r"|libnv(?:infer|jitlink|jpeg|rtc|toolsext|vm)[\d-].*"
)
_CUDA_FILE: Final = re.compile(
    r".*/(?:libcu(?:blas|blaslt|dart|dnn|fft|file|rand|solver|sparse|pti)\w*|libnccl|libnv(?:rtc|"
    r"jitlink|infer|jpeg|toolsext)\w*|libnpp\w*|libtorch_cuda\w*|libc10_cuda"
    r"|libonnxruntime_providers_(?:cuda|tensorrt)|libcaffe2_nvrtc)(?:-[^/]*)?\.(?:so[.\d]*|a)",
    re.IGNORECASE,
)
_SCREEN: Final = re.compile(
    r".*/(?:cv2/qt/.*|opencv_(?:contrib_)?python\.libs/lib(?:Qt\d|xcb|X\w+|xkb)[^/]*)"
)


@dataclass(frozen=True, kw_only=True)
class Build:
    """A Python package of which there is a smaller build with the same modules."""

    other: str
    kind: AdviceKind = AdviceKind.CPU_BUILD
    files: Callable[[str], object] = _CUDA_FILE.fullmatch
    """Which of its files the other has not, or has smaller."""
    share: float = 1.0
    """How much of them."""
    with_nvidia: bool = False
    """NVIDIA's packages are there for it alone."""
    only_amd64: bool = False


_TENSORFLOW: Final = Build(
    other="tensorflow-cpu",
    # Of 2.21.0 for amd64: 1,259 MB in tensorflow's wheel, 853 MB in tensorflow-cpu's.
    files=re.compile(r".*/libtensorflow_(?:cc|framework)\.so\.\d+").fullmatch,
    share=0.32,
    with_nvidia=True,
    only_amd64=True,
)
_BUILDS: Final[Mapping[str, Build]] = {
    "tensorflow": _TENSORFLOW,
    "tensorflow-gpu": _TENSORFLOW,
    "onnxruntime-gpu": Build(other="onnxruntime", with_nvidia=True),
    "xgboost": Build(other="xgboost-cpu", with_nvidia=True, only_amd64=True),
    "faiss-gpu": Build(other="faiss-cpu", with_nvidia=True),
    "paddlepaddle-gpu": Build(other="paddlepaddle", with_nvidia=True),
    "opencv-python": Build(
        other="opencv-python-headless", kind=AdviceKind.HEADLESS, files=_SCREEN.fullmatch
    ),
    "opencv-contrib-python": Build(
        other="opencv-contrib-python-headless", kind=AdviceKind.HEADLESS, files=_SCREEN.fullmatch
    ),
}


def torch_cpu(image: Image) -> Iterator[Found]:
    """A CUDA build of PyTorch: its version says so, or NVIDIA's packages beside it."""
    package = image.package("Python", "torch")
    if package is None or package not in image.used_packages or "+cpu" in package[1]:
        return
    takes = {**_nvidia(image), **_some(image, package, _CUDA_FILE.fullmatch)}
    if sum(takes.values()) < LEAST_BYTES:
        return
    family = {"torch", "torchvision", "torchaudio"}
    layer = image.layers_of([*image.packages[package]])[0]
    step = image.step(layer)
    yield Found(
        kind=AdviceKind.CPU_BUILD,
        title="Install PyTorch's build for CPUs",
        seen=f"{package[1]} is built for CUDA, and the run had no GPU: "
        f"{format_bytes(sum(takes.values()))} of it and of NVIDIA's packages are for one.",
        todo=f"Install it from {_TORCH_INDEX} ({where(step)}); torchvision and torchaudio too.",
        takes=takes,
        rewrites={} if step.base else {layer: _from_cpu_index(family)},
        lines=requirement_lines(image, step.shell or "", "torch", _from_index),
        confidence=Confidence.TRY,
        risk=_GPU_RISK,
    )


def _from_index(line: str) -> str:
    return f"--extra-index-url {_TORCH_INDEX}\n{line.split('+cu', maxsplit=1)[0]}"


def _from_cpu_index(family: Collection[str]) -> Rewrite:
    """Add the index to what names one of them, unless the step has one of its own."""

    def rewrite(shell: str) -> str | None:
        named = [word for word in installs(shell, "Python") if name_in(word) in family]
        if not named or "index-url" in shell:
            return None
        parts = parts_of(shell) or []
        for at in range(0, len(parts), 2):
            if any(word in parts[at].split() for word in named):
                parts[at] = f"{parts[at]} --extra-index-url {_TORCH_INDEX}"
                for word in named:
                    parts[at] = parts[at].replace(word, _local_cpu(word))
        return "".join(parts)

    return rewrite


def _local_cpu(word: str) -> str:
    """``torch==2.4.0`` is looked for as ``torch==2.4.0+cpu``: else the other index's would do."""
    bare = word.split("+cu", maxsplit=1)[0]
    return f"{bare}+cpu" if "==" in bare else bare


def smaller_builds(image: Image) -> Iterator[Found]:
    """What is built for a GPU or a screen, and has the same modules without: see ``_BUILDS``."""
    for name, build in _BUILDS.items():
        package = image.package("Python", name)
        if package is None or package not in image.used_packages:
            continue
        if build.only_amd64 and image.inputs.platform is not Platform.AMD64:
            continue
        takes = dict(_nvidia(image)) if build.with_nvidia else {}
        takes |= {
            path: round(size * build.share)
            for path, size in _some(image, package, build.files).items()
        }
        if sum(takes.values()) < LEAST_BYTES:
            continue
        step = image.step(image.layers_of([*image.packages[package]])[0])
        yield _smaller(image, package, build, takes, step.number)


def _smaller(
    image: Image, package: Package, build: Build, takes: Mapping[str, int], layer: int
) -> Found:
    name = package[1].partition(" ")[0].replace("_", "-")
    step = image.step(layer)
    screen = build.kind is AdviceKind.HEADLESS
    what = "windows on a screen" if screen else "a GPU"
    rewrites: dict[int, Rewrite] = {}
    if not step.base:
        rewrites[layer] = renamed("Python", {name: build.other})
    return Found(
        kind=build.kind,
        title=f"Install {build.other} in place of {name}",
        seen=f"{package[1]} is built for {what}, and the run had none: about "
        f"{format_bytes(sum(takes.values()))} are for that.",
        todo=f"Name {build.other}, of the same version, where {name} is named: {where(step)}, or "
        "the requirements that it reads. The modules are the same."
        + (" libgl1 and libglib2.0-0 are then not needed either." if screen else ""),
        takes=takes,
        rewrites=rewrites,
        lines=requirement_lines(
            image, step.shell or "", name, lambda line: other_name(line, build.other)
        ),
        confidence=Confidence.TRY,
        risk="cv2.imshow and other windows are gone." if screen else _GPU_RISK,
    )


def cuda_libraries(image: Image) -> Iterator[Found]:
    """NVIDIA's libraries that came otherwise, and that the run did not use."""
    takes = {path: size for path, size in _nvidia(image).items() if not image.used(path)}
    takes |= image.files(_CUDA_FILE.fullmatch)
    for step, found in image.by_layer(takes):
        if step.base:
            todo = "Take a base image without CUDA, such as python:3-slim or debian:slim."
        else:
            todo = f"Leave CUDA out of {where(step)}: an image for CPUs has no use of it."
        yield Found(
            kind=AdviceKind.CUDA,
            title="Leave CUDA's libraries out",
            seen=f"{format_bytes(sum(found.values()))} of CUDA's libraries, and the run, without a "
            "GPU, read none of them.",
            todo=todo,
            takes=found,
            confidence=Confidence.TRY,
            risk=_GPU_RISK,
        )


def _some(image: Image, package: Package, wanted: Callable[[str], object]) -> Mapping[str, int]:
    return {path: size for path, size in image.of_package(package).items() if wanted(path)}


def _nvidia(image: Image) -> Mapping[str, int]:
    """All files of NVIDIA's packages, whether the run opened them (a CUDA build does) or not."""
    found: dict[str, int] = {}
    for package in image.packages:
        name = package[1].partition(" ")[0].replace("_", "-").lower()
        if package[0] in {"Python", "conda", "Debian"} and _NVIDIA.fullmatch(name):
            found |= image.of_package(package)
    return found


def requirement_lines(
    image: Image, shell: str, name: str, change: Callable[[str], str | None]
) -> list[str]:
    """A patch of the requirements in the image that name a package, if the step reads some."""
    if not re.search(r"(?:-r|--requirement)[ =]?\S", shell):
        return []
    lines: list[str] = []
    for path, text in image.inputs.texts.items():
        if not re.search(r"requirements[^/]*\.(?:txt|in)$", path):
            continue
        for line in text.splitlines():
            bare = line.partition("#")[0].strip()
            # One with hashes needs the other package's: words must do.
            if bare and name_in(bare) == name and not bare.endswith("\\") and "--hash" not in bare:
                new = change(bare)
                changed = [] if new is None else [f"+ {one}" for one in new.splitlines()]
                lines += [f"# {path}", f"- {bare}", *changed]
    return lines
