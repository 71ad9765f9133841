"""NISER+ (Gupta et al. 2019): which items a session of clicks is followed by."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.common import export
from models.common.built import BuildOrder, Built, Samples, Tolerance, say
from models.recommender_niser import baselines, clicks, graph, metrics, train
from models.recommender_niser import weights as stored
from models.recommender_niser.network import Recommender
from models.recommender_niser.sessions import (
    ITEMS,
    MOST,
    Sessions,
    examples,
    generate,
    split,
)
from models.recommender_niser.sessions import clicks as counted
from models.recommender_niser.weights import Weights

SEED: Final = 20190910
WEIGHTS: Final = "weights.npz"
COLUMNS: Final = 100
"""Items in an answer, at most."""
POPULAR: Final = 100
HELD_OUT: Final = 200
SHIFTED: Final = 12
BATCH: Final = 512
LARGEST: Final = 2_000_000
"""Items. A graph is one message of less than 2 GB."""
PUBLISHED: Final = (
    "NISER+ on Diginetica, another data set: Recall@20 53.39 %, MRR@20 18.72 % (arXiv 1909.04276)."
)
GENERATED: Final = (
    "Trained and tested on sessions that this project generated: figures of one shop that does not "
    "exist, not to be compared with published ones."
)


def build(order: BuildOrder) -> Built:
    """Leave what is served in ``order.out``."""
    train.settle(SEED)
    ids: NDArray[np.int64] | None = None
    if order.data and order.size is None:
        origin, learn, test, ids = _given(order.data)
        items, statement = len(ids), f"Trained and tested on {origin}."
    else:
        origin, statement, items = "generated", GENERATED, ITEMS
        learn, test = split(generate(SEED), 1)
    say(f"{len(learn)} sessions to learn from, {len(test)} to test on, of {items} items")
    if order.size is None and (ids is not None or order.train != "none"):
        weights, training = train.train(learn, items, seed=SEED)
        stored.save(weights, training, order.out / WEIGHTS)
        weights, training = stored.load(order.out / WEIGHTS)
        training["weights"] = "retrained"
    else:
        weights, training = stored.load(Path(__file__).with_name(WEIGHTS))
        training["weights"] = "stored"
    training |= {"origin": origin, "statement": statement, "published": PUBLISHED, "seed": SEED}
    if order.size is not None:
        if not 1 <= order.size <= LARGEST:
            sys.exit(f"{order.name}: a catalogue has 1 to {LARGEST:,} items.")
        items = order.size
        weights = stored.sized(weights, items, SEED)
        training |= {"weights": "untrained table", "statement": _untrained(items)}
        learn, test = (_spread(one, items) for one in (learn, test))
    return _exported(order, weights, training, learn, test, ids)


def _given(folder: Path) -> tuple[str, Sessions, Sessions, NDArray[np.int64]]:
    try:
        found, learn, test, ids = clicks.load(folder)
    except clicks.WrongDataError as error:
        sys.exit(str(error))
    return found.name, learn, test, ids


def _untrained(items: int) -> str:
    return (
        f"A table of {items:,} items, for measuring what size costs: drawn around the trained one "
        f"of {ITEMS:,}, itself untrained. It recommends nothing sensible, so it has no Recall@20."
    )


def _spread(sessions: Sessions, items: int) -> Sessions:
    """The same sessions among as many items as there are."""
    rng = np.random.default_rng(SEED)
    if items <= ITEMS:
        moved = (sessions.items - 1) % items + 1
    else:
        moved = sessions.items + ITEMS * rng.integers(items // ITEMS, size=len(sessions.items))
    return Sessions(items=moved, starts=sessions.starts, days=sessions.days)


def _exported(
    order: BuildOrder,
    weights: Weights,
    training: Mapping[str, Any],
    learn: Sessions,
    test: Sessions,
    ids: NDArray[np.int64] | None,
) -> Built:
    items = len(weights["table"]) - 1
    columns = min(COLUMNS, items)
    say("exporting")
    graph.write(weights, columns, order.out / "model.onnx")
    export.save_tensorflow(Recommender(weights, columns), order.out / "saved_model")
    say("testing")
    prefixes, targets, session = examples(test)
    figures = (
        {}
        if order.size is not None
        else figures_of(order.out / "model.onnx", learn, items, (prefixes, targets, session))
    )
    raw = np.arange(items + 1) if ids is None else np.concatenate([[0], ids])
    if ids is not None:
        (order.out / "code").mkdir(exist_ok=True)
        (order.out / "code/items.i64").write_bytes(ids.astype("<i8").tobytes())
    rare = np.flatnonzero(metrics.long_tail(counted(learn, items)))[1:]
    popular = baselines.by_clicks(learn, items)[:POPULAR]
    shares = counted(learn, items)[popular] / len(learn.items)
    return Built(
        task="session-recommendation",
        inputs=({"name": "session", "dtype": "int64", "shape": [None, None], "first": [1, MOST]},),
        outputs=(
            {"name": "items", "dtype": "int64", "shape": [None, columns]},
            {"name": "scores", "dtype": "float32", "shape": [None, columns]},
        ),
        described={
            "catalogue": {
                "items": items,
                "ids": None if ids is None else "code/items.i64",
                "most": MOST,
            },
            "popular": {
                "items": raw[popular].tolist(),
                "shares": [round(float(one), 8) for one in shares],
            },
        },
        samples=_samples(order.out / "samples", prefixes, raw, rare),
        tolerance=Tolerance(label="item", scores="scores", max_abs_difference=1e-3),
        card={"parameters": stored.parameters(weights), "training": training},
        judge=lambda _: judged(figures),
        weights_sha256=stored.sha256(weights),
    )


def figures_of(
    file: Path,
    learn: Sessions,
    items: int,
    held_out: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
) -> dict[str, Any]:
    """Of the served graph, of item-kNN and of popularity, on all prefixes and on those whose next
    item is of the long tail.
    """
    prefixes, targets, session = held_out
    served = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    places = {
        "niser": np.concatenate(
            [
                metrics.ranks(
                    served.run(["logits"], {"session": prefixes[at : at + BATCH]})[0],
                    targets[at : at + BATCH],
                )
                for at in range(0, len(targets), BATCH)
            ]
        ),
        "item_knn": baselines.item_knn(learn, items, prefixes, targets),
        "popularity": baselines.popularity(learn, items, targets),
    }
    rare = metrics.long_tail(counted(learn, items))[targets]
    found: dict[str, Any] = {
        name: metrics.measured(one, session, seed=SEED) for name, one in places.items()
    }
    found["long_tail"] = {
        name: metrics.measured(one[rare], session[rare], seed=SEED) for name, one in places.items()
    }
    own = found["niser"]
    return {
        "recall@20": own["recall@20"]["value"],
        "mrr@20": own["mrr@20"]["value"],
        "level": metrics.LEVEL,
        "prefixes": len(targets),
        "long_tail_prefixes": int(rare.sum()),
        **found,
    }


def judged(figures: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metrics; a model that does not beat what is simpler, by its interval, ends the build."""
    if "niser" in figures:
        for name in ("niser", "item_knn", "popularity"):
            recall, mrr = figures[name]["recall@20"], figures[name]["mrr@20"]
            say(f"note: {name}: Recall@20 {_said(recall)}, MRR@20 {_said(mrr)}")
        low = figures["niser"]["recall@20"]["interval"][0]
        for name in ("item_knn", "popularity"):
            high = figures[name]["recall@20"]["interval"][1]
            if low <= high:
                sys.exit(f"Recall@20 may be {low:.3f}, and that of {name} {high:.3f}.")
    return figures


def _said(one: Mapping[str, Any]) -> str:
    low, high = one["interval"]
    return f"{one['value']:.3f} ({low:.3f} to {high:.3f})"


def _samples(
    folder: Path, prefixes: NDArray[np.int64], raw: NDArray[np.int64], rare: NDArray[np.int64]
) -> Samples:
    """Prefixes of held-out sessions, and long sessions of rare and unknown items."""
    rng = np.random.default_rng(SEED)
    some = rng.choice(len(prefixes), HELD_OUT, replace=len(prefixes) < HELD_OUT)
    bodies = [raw[one[one > 0]].tolist() for one in prefixes[some]]
    _write(folder / "held-out", bodies)
    # Ids beyond the catalogue's are nobody's.
    shifted = [
        np.where(
            rng.random(MOST) < 0.5,
            raw[rng.choice(rare, MOST)] if len(rare) else raw[1],
            raw[-1] + rng.integers(1, 1000, MOST),
        ).tolist()
        for _ in range(SHIFTED)
    ]
    _write(folder / "shifted", shifted)
    longest: Sequence[int] = max(bodies, key=len)
    (folder / "session.json").write_text(json.dumps({"session": longest, "k": 20}) + "\n")
    return Samples(
        payload="samples/session.json",
        held_out="samples/held-out",
        shifted="samples/shifted",
    )


def _write(folder: Path, sessions: Sequence[Sequence[int]]) -> None:
    folder.mkdir(parents=True)
    for at, session in enumerate(sessions):
        (folder / f"{at:04d}.json").write_text(json.dumps({"session": session}) + "\n")
