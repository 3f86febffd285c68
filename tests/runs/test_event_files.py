"""TensorBoard's event files, checked without TensorFlow."""

import io
import struct

import pytest

from rnncli.errors import RunDirError
from rnncli.runs.event_files import masked_crc, whole_records


def record(body):
    head = struct.pack("<Q", len(body))
    return head + struct.pack("<I", masked_crc(head)) + body + struct.pack("<I", masked_crc(body))


FILE = record(b"brain.Event:2") + record(b"") + record(bytes(300))


def test_masked_crc_is_the_one_of_the_specification():
    crc = 0xE3069283  # CRC-32C of these digits: RFC 3720, and the check value of the catalogue of CRCs
    assert masked_crc(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def test_whole_file_has_complete_records():
    assert whole_records(io.BytesIO(FILE)) == (len(FILE), True)
    assert whole_records(io.BytesIO(b"")) == (0, True)


@pytest.mark.parametrize("cut", [1, 5, 311, 315])
def test_cut_record_is_told_with_the_size_of_the_whole_ones(cut):
    size, complete = whole_records(io.BytesIO(FILE[:-cut]))
    assert not complete
    assert size == len(FILE) - len(record(bytes(300)))


def test_any_flipped_bit_is_found():
    for place in range(len(FILE)):
        data = bytearray(FILE)
        data[place] ^= 1 << place % 8
        with pytest.raises(RunDirError):
            whole_records(io.BytesIO(data))
