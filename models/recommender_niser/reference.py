"""NISER+ in NumPy as it is usually written: the graph of each session's distinct items, one session
after the other. Slow; it is what the other forms are compared with.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.recommender_niser.sessions import MOST
from models.recommender_niser.weights import Weights

SIGMA: Final = 16.0
Array = NDArray[np.float64]


def logits(weights: Weights, sessions: Sequence[Sequence[int]]) -> Array:
    """16 x cosine of each session, of which the last 20 clicks count, and every item, [n, items].

    Equations: Gupta et al., arXiv 1909.04276; the gated step is SR-GNN's (Wu et al. 2019).
    """
    exact = {name: one.astype(np.float64) for name, one in weights.items()}
    table = exact["table"][1:]
    return np.stack([SIGMA * table @ _vector(exact, list(one)[-MOST:]) for one in sessions])


def adjacency(session: Sequence[int]) -> tuple[list[int], Array, Array]:
    """The distinct items, and who follows and who precedes each, as means."""
    nodes = sorted(set(session))
    follows = np.zeros((len(nodes), len(nodes)))
    for one, following in pairwise(session):
        follows[nodes.index(one), nodes.index(following)] = 1
    return nodes, _means(follows), _means(follows.T)


def _vector(w: dict[str, Array], session: Sequence[int]) -> Array:
    nodes, out, into = adjacency(session)
    h = w["table"][nodes]
    a = np.concatenate(
        [into @ (h @ w["w_in"] + w["b_in"]), out @ (h @ w["w_out"] + w["b_out"])], axis=1
    )
    r_a, z_a, c_a = np.split(a @ w["w_gates"] + w["b_gates"], 3, axis=1)
    r_h, z_h, c_h = np.split(h @ w["u_gates"], 3, axis=1)
    r, z = _sigmoid(r_a + r_h), _sigmoid(z_a + z_h)
    h = (1 - z) * h + z * np.tanh(c_a + r * c_h)
    clicked = h[[nodes.index(one) for one in session]] + w["positions"][: len(session)]
    last = clicked[-1]
    hidden = _sigmoid(last @ w["w_last"] + clicked @ w["w_each"] + w["b_each"])
    attended = ((hidden @ w["attention"]) * clicked).sum(axis=0)
    vector = np.concatenate([attended, last]) @ w["w_session"]
    unit: Array = vector / np.linalg.norm(vector)
    return unit


def _means(matrix: Array) -> Array:
    total = matrix.sum(axis=1, keepdims=True)
    means: Array = np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)
    return means


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))
