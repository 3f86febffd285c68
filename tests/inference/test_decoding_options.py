"""What may be asked of a search, and what chance says in one."""

import numpy as np
import pytest

from rnncli.config import EncoderDecoderModel, RepeatVectorModel
from rnncli.errors import InputError
from rnncli.inference.decoding_options import Search


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"beam": 0}, "beam is 0; it must be from 1 to 512"),
        ({"beam": 513}, "beam is 513"),
        ({"n_best": 3, "beam": 2}, "a beam of 2 does not give the 3 best"),
        ({"max_length": 0}, "max-length is 0"),
        ({"length_penalty": -1.0, "beam": 2}, "length-penalty is -1.0"),
        ({"length_penalty": float("nan"), "beam": 2}, "length-penalty is nan"),
        ({"length_penalty": 0.6}, "there is none"),
        ({"temperature": 0.0}, "temperature is 0.0; it must be more than 0"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"temperature": 1.0, "beam": 2}, "without a beam"),
        ({"temperature": 1.0, "seed": -1}, "seed is -1"),
        ({"seed": 1}, "a seed goes with samples"),
    ],
)
def test_what_is_no_search_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        Search(**values)


@pytest.mark.parametrize("values", [{"beam": 5}, {"max_length": 3}, {"temperature": 1.0}])
def test_models_that_answer_at_once_are_asked_for_their_likeliest_answer_alone(values):
    Search(**values).check(EncoderDecoderModel(type="encoder_decoder"))
    Search().check(RepeatVectorModel(type="repeat_vector"))
    name = {"beam": "beam", "max_length": "max-length", "temperature": "sample"}[next(iter(values))]
    with pytest.raises(InputError, match=f"^{name} is for models that write symbol by symbol.*a repeat_vector"):
        Search(**values).check(RepeatVectorModel(type="repeat_vector"))


def test_chance_follows_from_seed_line_sample_and_step_alone():
    search = Search(temperature=1.0, n_best=3, seed=7)
    noise = search.noise(np.array([5, 1, 900]), 8)
    assert noise.dtype == np.float32
    assert noise.shape == (3, 3, 8)
    assert 0 <= noise.min() <= noise.max() < 1
    assert len(np.unique(noise)) == noise.size
    np.testing.assert_array_equal(search.noise(np.array([900]), 4)[0], noise[2, :, :4])
    np.testing.assert_array_equal(Search(temperature=2.0, seed=7).noise(np.array([5]), 8)[0], noise[0, :1])
    assert (Search(temperature=1.0, seed=8).noise(np.array([5]), 8) != noise[:1, :1]).all()
