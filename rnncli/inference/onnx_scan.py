"""A scan of serialized ONNX models for the names of other files. Reads protobuf's wire format without a package.

onnxruntime opens files that the tensors of a model name (`external_data`), of a model given as bytes relative to the
working directory. So that nothing depends on which paths a version of it allows, a model is looked through before.
The fields are those of onnx.proto: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from collections.abc import Iterator

MODEL, TENSOR = "ModelProto", "TensorProto"

FIELDS: dict[str, dict[int, str]] = {
    MODEL: {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: TENSOR, 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: TENSOR,
        6: "GraphProto",
        10: TENSOR,
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: TENSOR, 2: TENSOR},
}
"""The fields of each message that lead to tensors, and their messages."""

EXTERNAL_DATA, DATA_LOCATION = 13, 14
"""Fields of a tensor: where its data is in another file, and that it is there."""

MAX_DEPTH = 100
"""Messages within messages, as protobuf itself allows."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}


def names_other_files(data: bytes) -> bool:
    """Return whether a tensor of a serialized model has its data in another file.

    Raises:
        ValueError: It is not a serialized model.
    """
    waiting = [(memoryview(data), MODEL, 0)]
    while waiting:
        message, kind, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ValueError("messages within messages without end")
        for field, value in _fields(message):
            if kind == TENSOR and field in (EXTERNAL_DATA, DATA_LOCATION) and value:
                return True
            if isinstance(value, memoryview) and (inner := FIELDS.get(kind, {}).get(field)):
                waiting.append((value, inner, depth + 1))
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field; those of numbers of fixed size are 0."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        field, kind = (tag & 0xFFFFFFFF) >> 3, tag & 7
        if not field:
            raise ValueError("a field without a number")
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield field, value
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        if size > len(message) - at:
            raise ValueError("a field behind the end")
        yield field, message[at : at + size] if kind == _BYTES else 0
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a number of variable size, and the place behind it."""
    number = 0
    for count, byte in enumerate(message[at : at + 10]):
        number |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return number, at + count + 1
    raise ValueError("a number behind the end")
