"""Mixed precision: meant for GPUs, and tested on a CPU past the check that refuses it there."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnncli.config import RuntimeConfig, Training, load_config, parse_config
from rnncli.data.tasks import build_task
from rnncli.errors import ConfigError, RunFailedError
from rnncli.inference.decoder import Decoder
from rnncli.inference.decoding_options import DecodingOptions
from rnncli.inference.predictor import TrainedRun
from rnncli.layers.precision import POLICIES, layer_precision
from rnncli.models import build_model
from rnncli.runs.directory import RunDir
from rnncli.runtime.tensorflow_setup import setup_tensorflow
from rnncli.training.inputs import TrainingInputs
from rnncli.training.loop import train
from rnncli.training.optimizer import build_optimizer

pytestmark = [pytest.mark.usefixtures("runtime"), pytest.mark.xla(unroll=False)]
CONFIGS = Path(__file__).parents[2] / "configs"
MIXED = ["mixed_bfloat16", "mixed_float16"]
coarse = pytest.mark.parametrize("precision", MIXED)
MODELS = [
    "{type: encoder_decoder, encoder: {bidirectional: true, merge: sum, units: 8}, decoder: {units: 8}}",
    "{type: repeat_vector, cell: gru, encoder: {units: 8, embedding: 3}}",
    "{type: classifier, cell: simple_rnn, units: 8, pooling: mean}",
    pytest.param(
        "{type: encoder_decoder, attention: monotonic, attention_order: 1, encoder: {units: 8}, decoder: {units: 8}}",
        marks=pytest.mark.long,
    ),
]


@pytest.mark.parametrize("precision", [name for name in POLICIES if name != "float32"])
def test_mixed_precision_needs_a_gpu(precision, runtime):
    if runtime.on_gpu:
        pytest.skip("shows what is said where TensorFlow sees no GPU")
    with pytest.raises(RunFailedError, match=rf"^runtime\.precision: {precision} "):
        setup_tensorflow(RuntimeConfig(precision=precision))
    with pytest.raises(ConfigError, match=rf"c:2: runtime\.precision: {precision} "):
        parse_config(
            f"{{task: addition, model: repeat_vector,\nruntime: {{device: cpu, precision: {precision}}}}}", "c"
        )


@coarse
@pytest.mark.parametrize("kernel", ["fused", "generic"])
@pytest.mark.parametrize("model", MODELS)
def test_layers_compute_in_low_precision_with_float32_weights_and_logits(model, kernel, precision):
    task = "{type: addition, digits: 1, examples: 55, held_out: 5}"
    exact = parse_config(f"{{task: {task}, model: {model}, runtime: {{kernel: {kernel}}}}}", "c")
    mixed = exact.model_copy(update={"runtime": exact.runtime.model_copy(update={"precision": precision})})
    task = build_task(exact)
    a, b = (build_model(config, task.sizes) for config in (exact, mixed))
    assert keras.config.dtype_policy().name == "float32"
    assert {layer.compute_dtype for layer in b.recurrent_layers} == {precision.removeprefix("mixed_")}
    assert {variable.dtype for variable in b.network.weights} == {"float32"}
    b.assign(a.arrays())
    examples = task.splits()[0]
    arguments = [tf.constant(v, tf.int32) for v in (examples.source, examples.source_lengths, examples.target)]
    wanted, found = (m.logits(*arguments) for m in (a, b))
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, wanted, atol=0.05)
    assert not np.array_equal(found, wanted)


@pytest.mark.long
def test_model_trained_in_low_precision_is_as_good_and_predicts_in_float32(runtime, tmp_path):
    config = load_config(CONFIGS / "alphabet.yaml", ["runtime.precision=mixed_float16"])
    outcome = train(TrainingInputs.read(config), RunDir.create(tmp_path / "run", config), runtime)
    assert outcome.best["exact_match"] == 1.0
    saved = RunDir(tmp_path / "run").load().on("auto")
    run = TrainedRun(saved, runtime)
    assert {layer.compute_dtype for layer in run.model.recurrent_layers} == {"float32"}
    assert [answer.text for answer in run.predict(["ABC", "XYZ"])] == ["D", "A"]


@pytest.mark.parametrize(
    ("options", "attention", "precision"),
    [
        pytest.param(DecodingOptions(), "general, input_feeding: true", "mixed_bfloat16", marks=pytest.mark.long),
        pytest.param(
            DecodingOptions(beam=3, n_best=3), "general, input_feeding: true", "mixed_float16", marks=pytest.mark.long
        ),
        (DecodingOptions(sample=True), "none", "mixed_float16"),
        pytest.param(DecodingOptions(), "monotonic", "mixed_float16", marks=pytest.mark.long),
        pytest.param(DecodingOptions(), "monotonic, attention_order: 1", "mixed_bfloat16", marks=pytest.mark.long),
    ],
)
def test_decoding_in_reduced_precision_gives_finite_scores_and_float32_states(options, attention, precision, runtime):
    model = f"{{type: encoder_decoder, attention: {attention}, encoder: {{units: 4}}, decoder: {{units: 4}}}}"
    config = parse_config(f"{{task: {{type: addition, digits: 1, examples: 55, held_out: 5}}, model: {model}}}", "c")
    config = config.model_copy(update={"runtime": config.runtime.model_copy(update={"precision": precision})})
    task = build_task(config)
    held_out = task.splits()[1]
    decoded = Decoder(build_model(config, task.sizes), runtime)(
        held_out.source, held_out.source_lengths, options=options
    )
    assert np.isfinite(decoded.log_probabilities[:, 0]).all()
    assert {value.dtype for value in decoded.state.values()} <= {np.dtype(np.float32)}  # beams give none


@pytest.mark.long
def test_carried_states_stay_float32(runtime, tmp_path):
    settings = ["runtime.precision=mixed_float16", "training.epochs=2"]
    config = load_config(CONFIGS / "alphabet_stateful.yaml", settings)
    train(TrainingInputs.read(config), RunDir.create(tmp_path / "run", config), runtime)
    carried = RunDir(tmp_path / "run").load().carried
    assert {value.dtype for value in carried.values()} == {np.dtype(np.float32)}
    assert all(value.any() for value in carried.values())


def test_in_float16_a_step_that_overflows_is_left_out_and_the_scale_halved():
    optimizer = build_optimizer(Training(optimizer="sgd", learning_rate=1.0, batch_size=100), 2, "mixed_float16")
    weight = keras.Variable(np.zeros(1, np.float32))
    optimizer.build([weight])
    scale = float(optimizer.scale_loss(1.0))
    assert scale == 2**15 / 128
    optimizer.apply([tf.constant([np.inf])], [weight])
    assert weight.numpy() == 0.0
    assert float(optimizer.scale_loss(1.0)) == scale / 2
    optimizer.apply([tf.constant([3.0 * scale / 2])], [weight])
    assert weight.numpy() == pytest.approx(-3.0)


@pytest.mark.parametrize("precision", ["float32", "tensorfloat32", "mixed_bfloat16"])
def test_other_precisions_scale_no_loss(precision):
    assert build_optimizer(Training(), 2, precision).scale_loss(1.0) == 1.0


def test_layers_made_later_are_float32_again():
    with layer_precision("mixed_float16"):
        assert keras.layers.Dense(1, name="a").compute_dtype == "float16"
    assert keras.layers.Dense(1, name="b").compute_dtype == "float32"
