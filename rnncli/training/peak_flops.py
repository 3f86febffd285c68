"""The peak arithmetic of the machine, as a large matrix product reaches it."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf


def measure_peak_flops(on_gpu: bool, seconds: float) -> float:
    """Return the FLOP/s of a product of large float32 matrices, the maximum of several runs.

    On a CPU it is NumPy's product, with all threads that this process may use. On a GPU it is TensorFlow's, in the
    precision that training uses.

    Args:
        on_gpu: Whether to measure the GPU.
        seconds: How long to measure; at least three runs.
    """
    run_product = _gpu_product() if on_gpu else _cpu_product()
    run_product()  # allocates memory and starts threads
    best, until, runs = 0.0, time.perf_counter() + seconds, 0
    while runs < 3 or time.perf_counter() < until:
        began = time.perf_counter()
        flop = run_product()
        best, runs = max(best, flop / (time.perf_counter() - began)), runs + 1
    return best


def _cpu_product(size: int = 2048) -> Callable[[], float]:
    a, out = np.random.default_rng(0).random((size, size), np.float32), np.empty((size, size), np.float32)

    def run_product() -> float:
        np.matmul(a, a, out=out)
        return 2.0 * size**3

    return run_product


def _gpu_product(size: int = 8192, times: int = 10) -> Callable[[], float]:
    with tf.device("/GPU:0"):
        a = tf.random.stateless_normal([size, size], [0, 0]) / size**0.5  # keeps the norm of what it multiplies

    def run_product() -> float:
        product = a
        with tf.device("/GPU:0"):
            for _ in range(times):
                product = tf.matmul(a, product)
            product[0, 0].numpy()  # waits for the result
        return 2.0 * size**3 * times

    return run_product
