"""The network's weights as arrays by name: stored beside this file, drawn, or made larger."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.recommender_niser.sessions import MOST

WIDTH: Final = 100
SPREAD: Final = 0.3
"""Length of what is added to a trained item's direction for an item of another size."""

Weights = Mapping[str, NDArray[np.float32]]

SHAPES: Final[Mapping[str, tuple[int, ...]]] = {
    "w_in": (WIDTH, WIDTH),
    "b_in": (WIDTH,),
    "w_out": (WIDTH, WIDTH),
    "b_out": (WIDTH,),
    "w_gates": (2 * WIDTH, 3 * WIDTH),  # r, z, c
    "u_gates": (WIDTH, 3 * WIDTH),
    "b_gates": (3 * WIDTH,),
    "positions": (MOST, WIDTH),
    "w_last": (WIDTH, WIDTH),
    "w_each": (WIDTH, WIDTH),
    "b_each": (WIDTH,),
    "attention": (WIDTH, 1),
    "w_session": (2 * WIDTH, WIDTH),
}
"""Of all but ``table`` [items + 1, 100], whose rows are of length 1, but for the first: zeros."""


def untrained(items: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """All weights between -1/sqrt(100) and 1/sqrt(100)."""
    rng = np.random.default_rng(seed)
    shapes = {"table": (items + 1, WIDTH), **SHAPES}
    drawn = {
        name: rng.uniform(-(WIDTH**-0.5), WIDTH**-0.5, shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    return {**drawn, "table": normalised(drawn["table"])}


def normalised(table: NDArray[Any]) -> NDArray[np.float32]:
    """Every row of length 1, the first one zeros."""
    rows = table.astype(np.float32)
    rows[0] = 0
    rows[1:] /= np.linalg.norm(rows[1:], axis=1, keepdims=True)
    return rows


def save(weights: Weights, training: Mapping[str, Any], file: Path) -> None:
    """As float16, with what the card shall say of the training."""
    arrays: dict[str, Any] = {name: one.astype(np.float16) for name, one in weights.items()}
    np.savez_compressed(file, allow_pickle=False, training=np.array(json.dumps(training)), **arrays)


def load(file: Path) -> tuple[Weights, dict[str, Any]]:
    """What ``save`` wrote."""
    with np.load(file) as stored:
        weights = {name: stored[name].astype(np.float32) for name in ("table", *SHAPES)}
        training: dict[str, Any] = json.loads(str(stored["training"]))
    return {**weights, "table": normalised(weights["table"])}, training


def sized(weights: Weights, items: int, seed: int) -> Weights:
    """The same network with a table of that many items: the trained ones as far as they go, then
    items drawn around them.
    """
    table = weights["table"]
    trained = len(table) - 1
    grown = np.zeros((items + 1, WIDTH), np.float32)
    kept = min(items, trained)
    grown[: kept + 1] = table[: kept + 1]
    rng = np.random.default_rng(seed)
    for at in range(trained + 1, items + 1, trained):  # a part at a time: it may be large
        part = grown[at : at + trained]
        noise = rng.standard_normal(part.shape, np.float32) * np.float32(SPREAD / WIDTH**0.5)
        part[:] = table[1 : len(part) + 1] + noise
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return {**weights, "table": grown}


def parameters(weights: Weights) -> int:
    """How many numbers are learnt; the table's first row is none of them."""
    return sum(int(one.size) for one in weights.values()) - WIDTH


def sha256(weights: Weights) -> str:
    """One sum over all weights, by name."""
    total = hashlib.sha256()
    for name in sorted(weights):
        total.update(name.encode())
        total.update(np.ascontiguousarray(weights[name]).view(np.uint8).data)
    return total.hexdigest()
