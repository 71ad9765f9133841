"""The rules in their order: the more a rule knows of what it takes, the earlier it comes."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from lab.advice.rules import build, bytecode, cpu, node, start, system, texts, unread
from lab.advice.rules.image import Image
from lab.advice.rules.model import Advice, Found, Inputs, Rewrite, StepPatch
from lab.advice.rules.patches import all_of, diff

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
    system.debug_symbols,
    bytecode.byte_code,
    start.unused_imports,
    start.http_stack,
    start.late_loads,
    start.workers,
)


def advise(inputs: Inputs) -> tuple[Sequence[Advice], Sequence[StepPatch]]:
    """What to do, that which saves most seconds first; and each step with all changes to it."""
    image = Image(inputs)
    advice: list[Advice] = []
    rewrites: dict[int, list[Rewrite]] = defaultdict(list)
    for rule in RULES:
        for found in list(rule(image)):
            advice.append(image.advice(found))
            for number, rewrite in found.rewrites.items():
                rewrites[number].append(rewrite)
            image.take(found)
    return sorted(advice, key=_order), _patched(image, rewrites)


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
