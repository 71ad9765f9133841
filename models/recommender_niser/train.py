"""Training from nothing: cross-entropy over all items of what follows each prefix of a session."""

import os
import time
from collections.abc import Iterator
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.common.built import say
from models.recommender_niser import weights as stored
from models.recommender_niser.network import Niser
from models.recommender_niser.sessions import Sessions, examples
from models.recommender_niser.weights import Weights

EPOCHS: Final = 5
BATCH: Final = 256
RATE: Final = 2e-3
"""Adam's; divided by ten for the last two epochs."""
SLOWER: Final = 2


def settle(seed: int) -> None:
    """The same numbers every time; before TensorFlow does anything."""
    tf.config.threading.set_intra_op_parallelism_threads(os.cpu_count() or 1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


def train(sessions: Sessions, items: int, *, seed: int) -> tuple[Weights, dict[str, Any]]:
    """The weights, and what the card shall say of how they came about."""
    began, began_cpu = time.monotonic(), time.process_time()
    prefixes, targets, _ = examples(sessions)
    network = Niser(stored.untrained(items, seed))
    optimizer = keras.optimizers.Adam(RATE)
    optimizer.build(network.trainable_variables)
    step = _step(network, optimizer)
    rng = np.random.default_rng(seed)
    lengths = (prefixes > 0).sum(axis=1)
    for epoch in range(EPOCHS):
        if epoch == EPOCHS - SLOWER:
            optimizer.learning_rate.assign(RATE / 10)
        losses = [
            step(prefixes[some, :longest], targets[some]) for some, longest in batches(lengths, rng)
        ]
        say(f"epoch {epoch + 1}/{EPOCHS}: loss {float(np.mean(losses)):.3f}")
    seconds, cpu = time.monotonic() - began, time.process_time() - began_cpu
    say(f"note: trained on {len(targets)} prefixes in {seconds:.0f} s ({cpu:.0f} s of CPU time).")
    trained = {name: one.numpy() for name, one in network.named.items()}
    trained["table"] = stored.normalised(trained["table"])
    facts = {
        "sessions": len(sessions),
        "prefixes": len(targets),
        "epochs": EPOCHS,
        "batch": BATCH,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
    }
    return trained, facts


def batches(
    lengths: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], int]]:
    """All prefixes in a random order, and each batch's longest: those of a length come together,
    for the work grows with the padding.
    """
    order = rng.permutation(len(lengths))
    order = order[np.argsort(lengths[order], kind="stable")]
    parts = [order[at : at + BATCH] for at in range(0, len(order), BATCH)]
    for at in rng.permutation(len(parts)):
        yield parts[at], int(lengths[parts[at]].max())


def _step(network: Niser, optimizer: keras.optimizers.Optimizer) -> Any:
    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec([None, None], tf.int64), tf.TensorSpec([None], tf.int64)],
    )
    def step(prefixes: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = network(prefixes, training=True)[:, 1:]
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets - 1, logits=logits)
            )
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return step
