"""The choice of a kernel, the probe of cuDNN, and layers that run in cuDNN; no GPU is needed."""

import random
import sys

import numpy as np
import pytest
import tensorflow as tf

from rnncli.config import CELLS, parse_config
from rnncli.errors import ConfigError, InputError, RunFailedError
from rnncli.layers import BuiltInRecurrent, KernelChoice, choose_kernel, layer_precision
from rnncli.layers.cells import keras_layer
from rnncli.layers.cudnn_probe import COARSE_TOLERANCE, LENGTHS, STEPS, probe_cudnn, run_tiny
from rnncli.layers.precision import POLICIES
from rnncli.layers.recurrent import restore_empty_rows

pytestmark = pytest.mark.usefixtures("runtime")

CUDNN_CELLS = [name for name, cell in CELLS.items() if cell.cudnn]
CUDNN, FUSED, GENERIC = (KernelChoice(kernel, "a test") for kernel in ("cudnn", "fused", "generic"))


def works(cell):
    return None


def fails(cell):
    return f"InternalError: no {cell} today"


def never(cell):
    raise AssertionError("cuDNN was tried where it would not run")


@pytest.mark.parametrize(
    ("cell", "wanted", "on_gpu", "probe", "kernel", "reason"),
    [
        ("lstm", "auto", False, never, "fused", "auto: the fastest on a CPU"),
        ("lstm", "auto", True, works, "cudnn", "auto: the fastest on a GPU"),
        ("gru", "auto", True, works, "cudnn", "auto: the fastest on a GPU"),
        (
            *("gru", "auto", True, fails, "fused"),
            "auto: cuDNN was tried on this GPU and failed: InternalError: no gru today",
        ),
        ("simple_rnn", "auto", True, never, "fused", "auto: cuDNN has no kernel for simple_rnn"),
        ("lstm", "cudnn", True, works, "cudnn", "required by runtime.kernel"),
        ("lstm", "generic", True, never, "generic", "required by runtime.kernel"),
        ("gru", "fused", True, never, "fused", "required by runtime.kernel"),
        ("simple_rnn", "generic", False, never, "generic", "required by runtime.kernel"),
    ],
)
def test_choice_of_a_kernel_with_its_reason(cell, wanted, on_gpu, probe, kernel, reason):
    assert choose_kernel(cell, wanted, on_gpu, probe=probe) == KernelChoice(kernel, reason)


def test_required_cudnn_that_fails_is_refused_with_its_error():
    with pytest.raises(RunFailedError, match=r"(?m)^runtime\.kernel: cudnn .*InternalError: no lstm today$"):
        choose_kernel("lstm", "cudnn", True, probe=fails)


@pytest.mark.parametrize(
    ("cell", "on_gpu", "implementation", "blamed"),
    [
        ("simple_rnn", True, "layer", ["model.cell: simple_rnn"]),
        ("lstm", False, "layer", ["runtime.device"]),
        ("gru", True, "cell", ["model.implementation: cell"]),
        ("simple_rnn", False, "cell", ["model.cell: simple_rnn", "model.implementation: cell", "runtime.device"]),
    ],
)
def test_refusal_of_required_cudnn_names_every_key_that_rules_it_out(cell, on_gpu, implementation, blamed):
    with pytest.raises(InputError, match=r"^runtime\.kernel: cudnn ") as refused:
        choose_kernel(cell, "cudnn", on_gpu, implementation, never)
    found = [key for key in ("model.cell", "model.implementation", "runtime.device") if key in refused.value.message]
    assert found == [key.partition(":")[0] for key in blamed]
    assert all(key in refused.value.message for key in blamed)


def test_config_error_names_every_key_that_rules_cudnn_out():
    text = "task: addition\nmodel: {type: repeat_vector, cell: simple_rnn, implementation: cell}\n"
    with pytest.raises(ConfigError) as refused:
        parse_config(text + "runtime: {kernel: cudnn, device: cpu}\n", "c")
    for key in ("c:3: runtime.kernel", "model.cell: simple_rnn", "model.implementation: cell", "runtime.device: cpu"):
        assert key in refused.value.message


def test_probe_without_a_gpu_returns_its_failure_in_one_line(runtime):
    if runtime.on_gpu:
        pytest.skip("shows what happens where TensorFlow sees no GPU")
    said = probe_cudnn("lstm")
    assert "cuDNN" in said
    assert "\n" not in said


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("cell", CUDNN_CELLS)
def test_probe_layer_gives_the_same_results_in_two_kernels(cell, policy):
    generic = run_tiny(keras_layer(cell), use_cudnn=False, dtype=policy)
    fused = run_tiny(keras_layer(cell), use_cudnn=False, unroll=True, dtype=policy)
    assert len(generic) == 1 + len(CELLS[cell].states) + 4
    for a, b in zip(generic, fused, strict=True):
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_allclose(
            a, b, atol=1e-5 if policy == "float32" else COARSE_TOLERANCE * max(1, abs(b).max())
        )
    read = np.arange(STEPS) < np.array(LENGTHS)[:, None]
    assert not generic[0][~read].any()
    assert generic[0][read].all()


def test_probe_fails_on_wrong_results(monkeypatch):
    def wrong(kind, use_cudnn, dtype):
        return [np.full(2, 0.5 if use_cudnn else 0.75)]

    monkeypatch.setattr("rnncli.layers.cudnn_probe.run_tiny", wrong)
    assert "differ by 0.2" in probe_cudnn.__wrapped__("lstm")


def test_probe_draws_no_random_number():
    random.seed(1)
    before = random.getstate()
    run_tiny(keras_layer("gru"), use_cudnn=False)
    assert random.getstate() == before


def built(cell, choice, **options):
    layer = BuiltInRecurrent(cell, 4, choice, "rnn/0", **options)
    layer.build((None, 5, 3))
    return layer


@pytest.mark.quick("lstm-from_a_state", "gru-from_zeros")
@pytest.mark.parametrize("initial", [False, True], ids=["from_zeros", "from_a_state"])
@pytest.mark.parametrize("cell", CUDNN_CELLS)
def test_cudnn_gets_no_empty_row_and_empty_rows_keep_their_state(cell, initial, monkeypatch):
    """The generic kernel stands in for cuDNN, which would stop at a row of length zero."""
    cudnn, generic, fused = (built(cell, GENERIC, bidirectional=True) for _ in range(3))
    fused = built(cell, FUSED, bidirectional=True)
    cudnn.choice = CUDNN  # from here on the call treats it as cuDNN
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 0.5, v.shape) for v in generic.weights]
    for layer in (cudnn, generic, fused):
        layer.set_weights(weights)
    masks = []
    for layer in cudnn.directions.values():
        inner = type(layer).inner_loop
        monkeypatch.setattr(
            layer, "inner_loop", lambda *a, _l=layer, _f=inner, **k: masks.append(k["mask"]) or _f(_l, *a, **k)
        )
    x, lengths = tf.constant(rng.normal(0, 1, (3, 5, 3)), tf.float32), tf.constant([5, 0, 2])
    start = {n: tf.constant(rng.normal(0, 1, (3, 4)), tf.float32) for n in cudnn.state_spec} if initial else None
    results = [layer(x, lengths, start) for layer in (cudnn, generic, fused)]
    assert len(masks) == 2
    assert all(mask.numpy().any(axis=1).all() for mask in masks)
    assert not results[0][0][1].numpy().any()
    read = tf.sequence_mask(lengths, 5, tf.float32)[:, :, None]
    for output, state in results:
        np.testing.assert_allclose(output * read, results[0][0] * read, atol=1e-5)
        for name, value in state.items():
            np.testing.assert_allclose(value, results[0][1][name], atol=1e-5)
            np.testing.assert_allclose(value[1], start[name][1] if initial else np.zeros(4), atol=1e-6)


def test_restore_empty_rows_changes_empty_rows_only():
    output, last = tf.ones([2, 3, 1]), [tf.constant([[7.0], [8.0]])]
    found, (state,) = restore_empty_rows(tf.constant([0, 3]), (tf.constant([[5.0], [6.0]]),), output, last)
    np.testing.assert_array_equal(found[:, :, 0], [[0, 0, 0], [1, 1, 1]])
    np.testing.assert_array_equal(state, [[5], [8]])


@pytest.mark.quick("lstm-float32", "gru-mixed_float16")
@pytest.mark.parametrize("precision", POLICIES)
@pytest.mark.parametrize("cell", CUDNN_CELLS)
def test_cudnn_layers_have_the_cudnn_operations_in_their_graph(cell, precision, monkeypatch):
    """Such a graph can be made without a GPU, though not run."""
    monkeypatch.setattr(sys.modules["keras.src.backend.tensorflow.rnn"], "_is_gpu_available", lambda: True)
    with layer_precision(precision):
        layer = built(cell, CUDNN, bidirectional=True)

    @tf.function(autograph=False)
    def step(x, lengths):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x, lengths)[0])
        return tape.gradient(loss, [v.value for v in layer.weights])

    graph = step.get_concrete_function(tf.TensorSpec([None, 5, 3]), tf.TensorSpec([None], tf.int32)).graph
    for kind in ("CudnnRNNV3", "CudnnRNNBackpropV3"):
        types = [op.get_attr("T") for op in graph.get_operations() if op.type == kind]
        assert types == [layer.compute_dtype] * 2


DROPPING = (
    "task: addition\nmodel: {type: encoder_decoder, decoder: {recurrent_dropout: 0.2}}\nruntime: {kernel: KERNEL}"
)


@pytest.mark.parametrize(
    ("kernel", "problem"),
    [
        ("cudnn", r"runtime\.kernel: cudnn is ruled out by model\.decoder\.recurrent_dropout \("),
        ("generic", r"runtime\.kernel: .*fused .* model\.decoder\.recurrent_dropout"),
    ],
)
def test_recurrent_dropout_needs_the_fused_kernel(kernel, problem):
    with pytest.raises(ConfigError, match=problem):
        parse_config(DROPPING.replace("KERNEL", kernel), "c.yaml")


@pytest.mark.parametrize("more", ["implementation: cell", "cell: {type: custom, class: 'a:B'}"])
def test_recurrent_dropout_refuses_cells_without_fused_kernel(more):
    text = DROPPING.replace("KERNEL", "auto").replace("encoder_decoder,", f"encoder_decoder, {more},")
    with pytest.raises(ConfigError, match=r"model\.decoder\.recurrent_dropout: .*fused"):
        parse_config(text, "c.yaml")


def test_reason_on_a_gpu_names_the_key_that_rules_cudnn_out():
    choice = choose_kernel("lstm", "auto", True, probe=never, recurrent_dropout=["model.recurrent_dropout"])
    assert choice == KernelChoice("fused", "auto: cuDNN is ruled out by model.recurrent_dropout")
