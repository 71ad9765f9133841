"""Python that is compiled at each start, for want of byte code in the image."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from lab.advice.rules.image import Image
from lab.advice.rules.model import AdviceKind, Confidence, Found, Rewrite
from lab.advice.rules.patches import Step, ended_by, first_of, option
from lab.report.words import plural
from lab.units import format_bytes

_COMPILE_S: Final = 2.2e-7
"""Seconds for each byte of source: CPython 3.11 compiled 5.2 MB of its standard library in 1.16 s
on the processor that the lab was made on."""
_WORTH_S: Final = 0.02
_FEW: Final = 20


def byte_code(image: Image) -> Iterator[Found]:
    """Python that is compiled at each start."""
    tag = _tag(image)
    if tag is None:
        return
    stale: dict[str, int] = {}
    entries = image.contents.entries
    compiled = 0
    for path in image.touched:
        if path.endswith(f".{tag}.pyc") and image.used(path):
            compiled += 1
    for path in image.touched:
        if not path.endswith(".py") or path not in entries or not image.used(path):
            continue
        cached = _cached(path, tag)
        # Both are opened where one is out of date; also by whatever shows source lines, but of few.
        if cached not in entries or image.used(cached):
            stale[path] = entries[path].size
    missing = {path for path in stale if _cached(path, tag) not in entries}
    dated = stale.keys() - missing
    if len(dated) < max(_FEW, compiled // 2):
        stale = {path: size for path, size in stale.items() if path in missing}
        dated = set()
    seconds = sum(stale.values()) * _COMPILE_S
    if seconds < _WORTH_S:
        return
    folders = _tops(stale)
    by = [image.step(number) for number in image.layers_of(stale.keys())]
    rewrites, lines = _compiling([one for one in by if not one.base], folders)
    yield Found(
        kind=AdviceKind.BYTE_CODE,
        title=f"Compile {plural(len(stale), 'Python file')} when the image is built",
        seen=f"{plural(len(stale), 'source')}, {format_bytes(sum(stale.values()))}, were read "
        f"where byte code for {tag} is {'missing' if not dated else 'missing or out of date'}"
        + (": PYTHONDONTWRITEBYTECODE is set, which" if _unwritten(image) else ": a container")
        + " keeps nothing of what it compiles, so that each start compiles all of it.",
        todo=f"Run `python -m compileall -q {' '.join(folders)}` in the last step that changes "
        "them, and let no later step remove __pycache__.",
        show=folders,
        rewrites=rewrites,
        lines=lines,
        claims=False,
        import_s=seconds,
        confidence=Confidence.CERTAIN,
    )


def _cached(path: str, tag: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/__pycache__/{name[:-3]}.{tag}.pyc"


def _tag(image: Image) -> str | None:
    """``cpython-313`` of the interpreter that ran."""
    for path in image.touched:
        found = re.search(r"\.(cpython-\d+)\.pyc$", path) if image.used(path) else None
        if found:
            return found[1]
    for path in image.touched:
        found = re.search(r"/lib/python(\d)\.(\d+)/", path) if image.used(path) else None
        if found:
            return f"cpython-{found[1]}{found[2]}"
    return None


def _unwritten(image: Image) -> bool:
    return bool(image.environment.get("PYTHONDONTWRITEBYTECODE"))


def _tops(paths: Collection[str]) -> Sequence[str]:
    """The folders to compile: a Python's library or an application, not each package."""
    found = set()
    for path in paths:
        site = re.match(r"(/.*/(?:site|dist)-packages|/.*?/lib/python[\d.]+)/", path)
        found.add(site[1] if site else path.rpartition("/")[0] or "/")
    return sorted(one for one in found if not any(one.startswith(f"{up}/") for up in found))


def _compiling(
    steps: Sequence[Step], folders: Sequence[str]
) -> tuple[Mapping[int, Rewrite], Sequence[str]]:
    command = f"python -m compileall -q {' '.join(folders)}"
    runs = [step for step in steps if step.shell is not None]
    if len(steps) == len(runs) == 1:
        return {runs[0].number: first_of(_uv_compiles, ended_by(command))}, ()
    return {}, (f"+ RUN {command}",)


def _uv_compiles(shell: str) -> str | None:
    """Without the option uv compiles nothing."""
    return option("Python", "--compile-bytecode")(shell) if "uv pip" in shell else None
