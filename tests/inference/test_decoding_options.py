"""Options of decoding: what is refused, and the random numbers of sampling."""

import numpy as np
import pytest

from rnncli.config import EncoderDecoderModel, RepeatVectorModel
from rnncli.errors import InputError, words_of_the_command_line
from rnncli.inference.decoding_options import LIMITS, DecodingOptions


@pytest.mark.parametrize("name", LIMITS)
def test_values_outside_the_limits_are_refused(name):
    least, most = LIMITS[name]
    for value in (least - 1, most + 1):
        with pytest.raises(InputError, match=f"^{name} is {value}"):
            DecodingOptions(**{name: value})


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"n_best": 3, "beam": 2}, "n_best=3 "),
        ({"length_penalty": -1.0, "beam": 2}, "length_penalty is -1.0"),
        ({"length_penalty": float("nan"), "beam": 2}, "length_penalty is nan"),
        ({"length_penalty": 0.6}, "length_penalty"),
        ({"sample": True, "temperature": 0.0}, "temperature is 0.0"),
        ({"sample": True, "temperature": float("inf")}, "temperature is inf"),
        ({"sample": True, "beam": 2}, "sampling"),
        ({"temperature": 2.0}, "temperature"),
        ({"seed": 1}, "seed"),
    ],
)
def test_contradicting_options_are_refused(values, name):
    with pytest.raises(InputError, match=f"^{name}"):
        DecodingOptions(**values)


@pytest.mark.parametrize(
    ("values", "in_python", "in_a_command"),
    [
        ({"n_best": 3, "beam": 2}, ("n_best=3 ", "beam=3"), ("--n-best 3 ", "--beam 3")),
        ({"length_penalty": 0.6}, ("length_penalty ", "beam=5"), ("--length-penalty ", "--beam 5")),
        ({"seed": 1}, ("seed ", "sample=True"), ("--seed ", "--sample")),
        ({"max_length": 0}, ("max_length ", ""), ("--max-length ", "")),
    ],
)
def test_options_are_named_as_they_are_written(values, in_python, in_a_command):
    with pytest.raises(InputError) as python:
        DecodingOptions(**values)
    with pytest.raises(InputError) as command, words_of_the_command_line():
        DecodingOptions(**values)
    for caught, (name, hint) in ((python, in_python), (command, in_a_command)):
        assert caught.value.message.startswith(name)
        assert hint in caught.value.hint
        assert ("--" in caught.value.hint) == ("--" in hint)


@pytest.mark.parametrize("name", ["beam", "max_length", "sample"])
def test_models_without_steps_support_greedy_decoding_only(name):
    options = DecodingOptions(**{name: 3 if name != "sample" else True})
    options.check(EncoderDecoderModel(type="encoder_decoder"))
    DecodingOptions().check(RepeatVectorModel(type="repeat_vector"))
    with pytest.raises(InputError, match=f"^{name} .*repeat_vector"):
        options.check(RepeatVectorModel(type="repeat_vector"))


def uniforms(lines, steps=8, **options):
    return DecodingOptions(sample=True, **options).sampling_uniforms(np.array(lines), steps)


def test_sampling_uniforms_are_distinct_numbers_below_1():
    found = uniforms([5, 1, 900], n_best=3, seed=7)
    assert found.dtype == np.float32
    assert found.shape == (3, 3, 8)
    assert 0 <= found.min() <= found.max() < 1
    assert len(np.unique(found)) == found.size


def test_sampling_uniforms_depend_on_seed_line_sample_and_step_only():
    found = uniforms([5, 1, 900], n_best=3, seed=7)
    np.testing.assert_array_equal(uniforms([900], steps=4, n_best=3, seed=7)[0], found[2, :, :4])
    np.testing.assert_array_equal(uniforms([5], seed=7, temperature=2.0)[0], found[0, :1])
    assert (uniforms([5], seed=8) != found[:1, :1]).all()
