"""The rules in their order: the more a rule knows of what it takes, the earlier it comes."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lab.advice.costs import HIDDEN
from lab.advice.rules import build, bytecode, cpu, node, start, system, texts, unread
from lab.advice.rules.image import Image
from lab.advice.rules.model import Advice, AdviceKind, Found, Inputs, Rewrite, StepPatch
from lab.advice.rules.patches import all_of, diff
from lab.images.layers.packages import Package

Rule = Callable[[Image], Iterator[Found]]

RULES: Final[Sequence[Rule]] = (
    start.installed_at_start,
    build.hidden,
    build.leftovers,
    build.baked_weights,
    build.two_copies,
    cpu.torch_cpu,
    cpu.smaller_builds,
    cpu.cuda_libraries,
    system.jdk,
    system.compilers,
    node.development_dependencies,
    unread.packages,
    unread.dependencies,
    texts.for_people,
    system.headers,
    system.static_libraries,
    unread.folders,
    unread.parts,
    system.debug_symbols,
    bytecode.byte_code,
    start.unused_imports,
    start.http_stack,
    start.late_loads,
    start.workers,
)


_TRIED: Final = {AdviceKind.UNREAD_DEPENDENCY, AdviceKind.UNREAD_PART}
"""What is to be tried alone, and not to be done with all the rest."""


@dataclass(frozen=True, kw_only=True)
class Advised:
    """All that the rules say of an image."""

    advice: Sequence[Advice]
    """That which saves most seconds first."""
    steps: Sequence[StepPatch]
    """Each step with all changes to it, but for what is to be tried."""
    of_package: Mapping[Package, Sequence[int]]
    """Which advice is about a package or a folder, by its place in ``advice``."""


def advise(inputs: Inputs) -> Advised:
    """Ask all rules."""
    image = Image(inputs)
    found: list[tuple[Advice, Found]] = []
    rewrites: dict[int, list[Rewrite]] = defaultdict(list)
    for rule in RULES:
        for one in list(rule(image)):
            found.append((image.advice(one), one))
            for number, rewrite in one.rewrites.items() if one.kind not in _TRIED else ():
                rewrites[number].append(rewrite)
            image.take(one)
    found.sort(key=lambda pair: _order(pair[0]))
    places: dict[Package, list[int]] = defaultdict(list)
    for place, (_, one) in enumerate(found):
        packages = {inputs.contents.entries[path].package for path in one.takes}
        for package in packages | ({HIDDEN} if one.hidden else set()):
            places[package].append(place)
    return Advised(
        advice=[advice for advice, _ in found],
        steps=_patched(image, rewrites),
        of_package=places,
    )


def _order(one: Advice) -> tuple[bool, float, float, int]:
    saves = one.saves
    return not one.urgent, -saves.seconds, -saves.moved_s, -saves.unpacked_bytes


def _patched(image: Image, rewrites: Mapping[int, Sequence[Rewrite]]) -> Sequence[StepPatch]:
    """In the order in which they were found: none undoes another."""
    found = []
    for number in sorted(rewrites):
        shell = image.step(number).shell
        new = None if shell is None else all_of(*rewrites[number])(shell)
        if shell is not None and new is not None:
            found.append(StepPatch(layer=number, patch=diff(shell, new)))
    return found
