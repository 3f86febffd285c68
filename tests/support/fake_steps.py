"""Step functions of decoding whose probabilities stand in a table."""

import numpy as np
import tensorflow as tf

from rnncli.inference.decoding import SequenceSpec

PAD, BEGIN, END, A, B = range(5)

GARDEN_PATH = np.log(
    [  # probability of each symbol after the previous one: A is more probable than B, but B is followed by END
        [0.01, 0.01, 0.01, 0.01, 0.96],
        [0.001, 0.001, 0.05, 0.548, 0.4],  # after BEGIN
        [0.96, 0.01, 0.01, 0.01, 0.01],
        [0.001, 0.001, 0.298, 0.36, 0.34],  # after A
        [0.001, 0.001, 0.9, 0.058, 0.04],  # after B
    ]
)


def spec(max_length):
    return SequenceSpec(BEGIN, END, max_length)


def table_step(table):
    """Return a step over log probabilities [previous symbol, symbol]; its logits are shifted, as any may be."""
    logits = tf.constant(table + 3.0, tf.float32)
    return lambda ids, state: (tf.gather(logits, ids), {"steps": state["steps"] + 1})


def recording(step, calls):
    """Return a step that appends the ids of each call to `calls`."""

    def recorded(ids, state):
        calls.append(ids.numpy().tolist())
        return step(ids, state)

    return recorded


def step_counts(rows):
    return {"steps": tf.zeros([rows])}


def until_end(row):
    """Return a row of ids up to its end, as a tuple."""
    return tuple(row[: row.index(END) + 1] if END in row else row)
