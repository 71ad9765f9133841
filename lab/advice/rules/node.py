"""Node's development dependencies."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from lab.advice.rules.image import LEAST_BYTES, Image, where
from lab.advice.rules.model import AdviceKind, Confidence, Found
from lab.advice.rules.patches import all_of, first_of, option
from lab.advice.rules.words import capital, listing
from lab.images.layers.packages import Package
from lab.report.words import plural
from lab.units import format_bytes

_MANAGER: Final = "Node"
_BUILDS: Final = re.compile(
    r"\b(?:npm|yarn|pnpm) (?:run |build\b|test\b)|\bnpx |node_modules/\.bin/|(?:^|&& |; )tsc\b"
)
_OMIT: Final = r"--omit[= ]dev|--production|--prod\b|--only[= ]prod"


def development_dependencies(image: Image) -> Iterator[Found]:
    """Packages beside an application that its ``dependencies`` do not lead to."""
    if re.search("production", image.environment.get("NODE_ENV", "")):
        hint = " NODE_ENV=production is set, but too late for the step that installs."
    else:
        hint = ""
    for path, text in image.inputs.texts.items():
        if not path.endswith("/package.json"):
            continue
        home = path.removesuffix("/package.json")
        spare = _development(image, home, _object(text))
        takes: dict[str, int] = {}
        for package in spare:
            inside = {
                one: size
                for one, size in image.of_package(package).items()
                if one.startswith(f"{home}/node_modules/")
            }
            if not any(image.used(one) for one in inside):
                takes |= inside
        if sum(takes.values()) < LEAST_BYTES:
            continue
        names = _heaviest(image, takes)
        step = image.step(image.layers_of(takes.keys())[0])
        built = [one for one in image.steps[step.number - 1 :] if _BUILDS.search(one.shell or "")]
        yield Found(
            kind=AdviceKind.NODE_DEVELOPMENT,
            title="Install Node's packages without those for development",
            seen=f"{plural(len(names), 'package')} in {home}/node_modules, "
            f"{format_bytes(sum(takes.values()))}, are there for development alone "
            f"({listing(names)}).{hint}",
            todo=f"{capital(where(built[0]))} builds with them: do that in a first stage, run "
            "`npm prune --omit=dev` there, and copy the result to the one that serves."
            if built
            else "Run `npm ci --omit=dev` (or `npm prune --omit=dev` once it is built) "
            + (
                f"before layer {step.number} copies node_modules."
                if step.copies
                else f"in {where(step)}."
            ),
            takes=takes,
            show=[f"{home}/node_modules/{name}" for name in names[:5]],
            rewrites={}
            if step.base or built
            else {
                step.number: first_of(
                    all_of(option(_MANAGER, "--omit=dev", unless=f"{_OMIT}|yarn|pnpm")),
                    option(_MANAGER, "--production", unless=f"{_OMIT}|npm"),
                )
            },
            confidence=Confidence.LIKELY,
            risk="A package that is required at run time but listed under devDependencies is "
            "missed.",
        )


def _development(image: Image, home: str, said: Mapping[str, Any]) -> Collection[Package]:
    """All packages below that the application's own list does not lead to. None where it names
    none for development: then nothing was installed for that.
    """
    if not said.get("devDependencies"):
        return ()
    below = {
        package
        for package in image.packages
        if package[0] == _MANAGER
        and any(one.startswith(f"{home}/node_modules/") for one in image.packages[package])
    }
    named = {_bare(package): package for package in below}
    waiting = [
        named[name]
        for kind in ("dependencies", "optionalDependencies", "peerDependencies")
        for name in said.get(kind) or ()
        if name in named
    ]
    wanted = set(waiting)
    while waiting:
        for other in image.contents.depends.get(waiting.pop(), ()):
            if other not in wanted:
                wanted.add(other)
                waiting.append(other)
    return below - wanted


def _bare(package: Package) -> str:
    """Without the version that may follow."""
    return package[1].partition(" ")[0]


def _heaviest(image: Image, takes: Mapping[str, int]) -> list[str]:
    weight: dict[str, int] = {}
    for path, size in takes.items():
        name = _bare(image.contents.entries[path].package)
        weight[name] = weight.get(name, 0) + size
    return sorted(weight, key=lambda name: -weight[name])


def _object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
