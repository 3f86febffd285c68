"""Graphs that name other files are known before onnxruntime opens those."""

from contextlib import suppress

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from rnncli.errors import InputError
from rnncli.inference.onnx_model import OnnxGraph
from rnncli.inference.onnx_scan import FIELDS, TENSOR, names_other_files

FLOATS = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])


def tensor(location=None):
    """Return a tensor of two numbers, whose data is in another file if one is named."""
    found = numpy_helper.from_array(np.ones(2, np.float32), "w")
    if location is not None:
        found.ClearField("raw_data")
        found.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", "8")):
            found.external_data.add(key=key, value=value)
    return found


def graph(initializer=(), **attributes):
    """Return a graph of one node that copies a constant."""
    node = helper.make_node("Identity", ["w"], ["y"])
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    return helper.make_graph([node], "g", [], [FLOATS], initializer=list(initializer))


def places(one):
    """Return models that hold a tensor, by where they hold it."""
    sparse = onnx.SparseTensorProto(values=one, dims=[2])
    inner, training = graph([one]), helper.make_model(graph([tensor()]))
    training.training_info.add().algorithm.CopyFrom(inner)
    function = helper.make_model(graph([tensor()]))
    function.functions.add(name="f", domain="d").node.add().attribute.add(name="a").t.CopyFrom(one)
    return {
        "initializer": helper.make_model(inner),
        "sparse initializer": helper.make_model(
            helper.make_graph([], "g", [], [FLOATS], sparse_initializer=[sparse])
        ),
        "attribute": helper.make_model(graph(value=one)),
        "attribute of several": helper.make_model(graph(values=[one, one])),
        "body of a loop": helper.make_model(graph(body=graph(body=inner))),
        "training": training,
        "function": function,
    }


@pytest.mark.parametrize("place", list(places(tensor())))
def test_a_tensor_in_another_file_is_found_wherever_it_is(place):
    assert not names_other_files(places(tensor())[place].SerializeToString())
    assert names_other_files(places(tensor("secret"))[place].SerializeToString())


def test_every_field_of_onnx_that_leads_to_tensors_is_known():
    leading, found = {TENSOR}, {}
    messages = onnx.ModelProto.DESCRIPTOR.file.message_types_by_name
    for _ in messages:
        for name, message in messages.items():
            if name != TENSOR:
                fields = {f.number: f.message_type.name for f in message.fields if f.message_type is not None}
                found[name] = {number: kind for number, kind in fields.items() if kind in leading}
                leading |= {name} if found[name] else set()
    assert {name: fields for name, fields in found.items() if fields} == FIELDS


@pytest.mark.parametrize("location", ["secret", "../secret", "/etc/hostname", "*/_ORT_MEM_ADDR_/*"])
def test_a_graph_whose_weights_are_elsewhere_is_refused(tmp_path, monkeypatch, location):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_bytes(np.full(2, 7, np.float32).tobytes())
    file = tmp_path / "predict.onnx"
    file.write_bytes(helper.make_model(graph([tensor(location)])).SerializeToString())
    with pytest.raises(InputError, match=r"predict\.onnx: its weights"):
        OnnxGraph(file)
    opset = [helper.make_opsetid("", 18)]
    file.write_bytes(helper.make_model(graph([tensor()]), opset_imports=opset, ir_version=8).SerializeToString())
    assert OnnxGraph(file)({})["y"].tolist() == [1, 1]


@given(st.binary(max_size=60))
def test_any_bytes_are_looked_through_or_refused(data):
    with suppress(ValueError):  # and no other exception
        names_other_files(data)
