"""By how much the three forms differ: ``python -m models.recommender_niser.parity``, in the trainer
image; prints the greatest difference of any logit from NumPy's, as JSON.
"""

import json
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
import tensorflow as tf

from models.common.built import say
from models.recommender_niser import graph, network, reference
from models.recommender_niser import weights as stored
from models.recommender_niser.sessions import MOST

SESSIONS: Final = 2000
LONGEST: Final = 40
ITEMS: Final = 300
"""Few enough that items come again within a session."""
BATCH: Final = 100


def main() -> None:
    """Compare 2,000 random sessions of 1 to 40 clicks, of which the last 20 count."""
    rng = np.random.default_rng(1)
    weights = stored.sized(stored.load(Path(__file__).with_name("weights.npz"))[0], ITEMS, seed=1)
    sessions = [
        rng.integers(1, rng.choice([4, 20, ITEMS]) + 1, length).tolist()
        for length in rng.integers(1, LONGEST + 1, SESSIONS)
    ]
    exact = reference.logits(weights, sessions)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        graph.write(weights, 100, file)
        served = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    tensors = {name: tf.constant(one) for name, one in weights.items()}
    apart = {"onnx": 0.0, "keras": 0.0}
    for at in range(0, SESSIONS, BATCH):
        some = [one[-MOST:] for one in sessions[at : at + BATCH]]
        padded = np.zeros((len(some), max(map(len, some))), np.int64)
        for row, one in zip(padded, some, strict=True):
            row[: len(one)] = one
        found = {
            "onnx": served.run(["logits"], {"session": padded})[0],
            "keras": network.logits(tensors, tf.constant(padded)).numpy()[:, 1:],
        }
        for name, logits in found.items():
            difference = float(np.abs(logits - exact[at : at + BATCH]).max())
            apart[name] = max(apart[name], difference)
    empty = served.run(["scores"], {"session": np.zeros((1, 3), np.int64)})[0]
    say(json.dumps({**apart, "empty": float(np.abs(empty - 1 / ITEMS).max())}))


if __name__ == "__main__":
    main()
