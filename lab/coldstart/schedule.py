"""The order of a run's trials: blocks that hold every cell, shuffled inside by the seed.

Interleaving makes drift hit all cells alike; the order is fixed before the first trial, so that
a run can be resumed and checked.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from lab.coldstart.plan import Plan
from lab.coldstart.record import Cell
from lab.spec import FLOOR


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One start to be measured. Block 0 is the warm-up."""

    index: int
    block: int
    cell: Cell


def cells(plan: Plan) -> tuple[Cell, ...]:
    """Every combination that the plan names, the floor's included.

    The floor serves the plan's first model: it is handed the same archive to fetch, mounts it and
    ignores it, so that it costs what the engine costs in that very trial.
    """
    rows = [(variant, model) for variant in plan.variants for model in plan.models]
    if plan.own is not None:
        rows.append((plan.own.variant, plan.own.model))
    rows.append((FLOOR, rows[0][1]))
    return tuple(
        Cell(variant=variant, model=model, platform=platform, tier=tier.name, start_kind=kind)
        for variant, model in rows
        for platform in plan.platforms
        for tier in plan.tiers
        for kind in plan.start_kinds
    )


def order(plan: Plan) -> tuple[Trial, ...]:
    """The plan's trials in the order in which they run."""
    last = max(plan.repeats.values())
    blocks: list[list[Cell]] = [[] for _ in range(last + 1)]
    for cell in cells(plan):
        if cell.start_kind in plan.warm_up:
            blocks[0].append(cell)
        for block in spread(plan.repeats[cell.start_kind], last):
            blocks[block].append(cell)
    rows: list[tuple[int, Cell]] = []
    for number, block_cells in enumerate(blocks):
        # A block's order depends on its own number and the seed alone: more repeats in a later
        # plan leave the earlier blocks as they were.
        random.Random(f"{plan.seed}/{number}").shuffle(block_cells)
        rows += [(number, cell) for cell in block_cells]
    return trials(rows)


def spread(repeats: int, blocks: int) -> tuple[int, ...]:
    """The blocks (from 1) that hold ``repeats`` trials, evenly over all ``blocks``."""
    return tuple(1 + ((2 * k + 1) * blocks) // (2 * repeats) for k in range(repeats))


def trials(rows: Sequence[tuple[int, Cell]]) -> tuple[Trial, ...]:
    """The rows of ``run.json``'s order, numbered."""
    return tuple(
        Trial(index=index, block=block, cell=cell) for index, (block, cell) in enumerate(rows)
    )
