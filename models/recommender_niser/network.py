"""NISER+ in Keras, of whole batches: a session's positions are the nodes of its graph.

Positions of one item have equal states, so that comparing and multiplying matrices gives what the
graph of distinct items gives (``reference.py``), without a search for these or a loop.
"""

from collections.abc import Mapping

import keras
import tensorflow as tf

from models.recommender_niser.reference import SIGMA
from models.recommender_niser.sessions import MOST
from models.recommender_niser.weights import Weights

DROPOUT = 0.1


class Niser(keras.layers.Layer):
    """The weights, to be trained; ``logits`` is what is done with them."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(name="niser")
        self.named = {
            name: self.add_weight(shape=one.shape, name=name) for name, one in weights.items()
        }
        for name, one in weights.items():
            self.named[name].assign(one)

    def call(self, session: tf.Tensor, training: bool = False) -> tf.Tensor:  # noqa: FBT001, FBT002  # Keras's
        """See ``logits``."""
        w = {name: tf.convert_to_tensor(one) for name, one in self.named.items()}
        return logits(w, session, training=training)


def logits(w: Mapping[str, tf.Tensor], session: tf.Tensor, *, training: bool = False) -> tf.Tensor:
    """From sessions, int64 [batch, length], right-padded with 0, to 16 x cosine with every item:
    [batch, items + 1], of which the first column is no item.
    """
    valid = tf.cast(session > 0, tf.float32)
    h = tf.gather(w["table"], session)
    table = w["table"]
    if training:  # once trained, the table is stored normalised
        table = tf.math.l2_normalize(table, axis=1)
        h = tf.math.l2_normalize(tf.nn.dropout(h, DROPOUT), axis=2)
    h *= valid[:, :, None]
    h = graph_step(w, h, *adjacency(session, valid))
    at = tf.range(tf.shape(session)[1])
    h += tf.gather(w["positions"], tf.minimum(at, MOST - 1))
    clicks = tf.reduce_sum(valid, axis=1, keepdims=True)
    is_last = tf.cast(tf.equal(tf.cast(at, tf.float32) + 1, clicks), tf.float32)
    last = tf.matmul(is_last[:, None, :], h)
    hidden = tf.sigmoid(tf.matmul(last, w["w_last"]) + tf.matmul(h, w["w_each"]) + w["b_each"])
    alpha = tf.matmul(hidden, w["attention"]) * valid[:, :, None]
    attended = tf.matmul(alpha, h, transpose_a=True)
    vector = tf.matmul(tf.concat([attended, last], axis=2)[:, 0], w["w_session"])
    unit = tf.math.l2_normalize(vector, axis=1)
    return tf.matmul(SIGMA * unit, table, transpose_b=True)


def adjacency(session: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Who follows and who precedes each position's item, as means over items, [batch, L, L]."""
    both = valid[:, :, None] * valid[:, None, :]
    same = tf.cast(tf.equal(session[:, :, None], session[:, None, :]), tf.float32) * both
    at = tf.range(tf.shape(session)[1])
    after = tf.cast(tf.equal(at[:, None] + 1, at[None, :]), tf.float32) * both
    follows = tf.minimum(same @ after @ same, 1.0)
    copies = tf.maximum(tf.reduce_sum(same, axis=2), 1.0)[:, None, :]
    return means(follows / copies), means(tf.transpose(follows, [0, 2, 1]) / copies)


def means(matrix: tf.Tensor) -> tf.Tensor:
    """Every row by its sum, which is 1 or more unless the row is empty."""
    return matrix / tf.maximum(tf.reduce_sum(matrix, axis=2, keepdims=True), 1.0)


def graph_step(
    w: Mapping[str, tf.Tensor], h: tf.Tensor, out: tf.Tensor, into: tf.Tensor
) -> tf.Tensor:
    """One gated step along both directions."""
    a = tf.concat(
        [
            into @ (tf.matmul(h, w["w_in"]) + w["b_in"]),
            out @ (tf.matmul(h, w["w_out"]) + w["b_out"]),
        ],
        axis=2,
    )
    r_a, z_a, c_a = tf.split(tf.matmul(a, w["w_gates"]) + w["b_gates"], 3, axis=2)
    r_h, z_h, c_h = tf.split(tf.matmul(h, w["u_gates"]), 3, axis=2)
    r, z = tf.sigmoid(r_a + r_h), tf.sigmoid(z_a + z_h)
    return (1 - z) * h + z * tf.tanh(c_a + r * c_h)


class Recommender(tf.Module):
    """What is served: sessions in, the best items and their probabilities out."""

    def __init__(self, weights: Weights, columns: int) -> None:
        super().__init__(name="recommender")
        self._weights = {name: tf.Variable(one, name=name) for name, one in weights.items()}
        self._columns = columns

    @tf.function(
        autograph=False, input_signature=[tf.TensorSpec([None, None], tf.int64, name="session")]
    )
    def serve(self, session: tf.Tensor) -> dict[str, tf.Tensor]:
        """Items and scores, [batch, columns]."""
        every = logits(self._weights, session)[:, 1:]
        best, places = tf.math.top_k(every, self._columns)
        total = tf.reduce_logsumexp(every, axis=1, keepdims=True)
        return {"items": tf.cast(places, tf.int64) + 1, "scores": tf.exp(best - total)}
