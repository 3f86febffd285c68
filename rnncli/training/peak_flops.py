"""The arithmetic that the machine can do."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import tensorflow as tf


def machine_rate(on_gpu: bool, seconds: float = 1.0) -> float:
    """FLOP a second of the machine's own product of large float32 matrices: the best of several.

    On a CPU NumPy's, by all threads that this process may use; on a GPU TensorFlow's, in the precision in force.
    """
    once = _gpu_product() if on_gpu else _cpu_product()
    once()  # allocates, and starts threads
    best, until, runs = 0.0, time.perf_counter() + seconds, 0
    while runs < 3 or time.perf_counter() < until:
        began = time.perf_counter()
        flop = once()
        best, runs = max(best, flop / (time.perf_counter() - began)), runs + 1
    return best


def _cpu_product(size: int = 2048) -> Any:
    a, out = np.random.default_rng(0).random((size, size), np.float32), np.empty((size, size), np.float32)

    def once() -> float:
        np.matmul(a, a, out=out)
        return 2.0 * size**3

    return once


def _gpu_product(size: int = 8192, times: int = 10) -> Any:
    with tf.device("/GPU:0"):
        a = tf.random.stateless_normal([size, size], [0, 0]) / size**0.5  # keeps the length of what it multiplies

    def once() -> float:
        product = a
        with tf.device("/GPU:0"):
            for _ in range(times):
                product = tf.matmul(a, product)
            product[0, 0].numpy()  # waits until all is computed
        return 2.0 * size**3 * times

    return once
