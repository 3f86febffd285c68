"""TensorBoard's event files, checked without TensorFlow and TensorBoard.

A record is its length (8 bytes), a checksum of the length, its bytes, and a checksum of these: masked CRC-32C, see
https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from rnncli.errors import RunDirError

MAX_RECORD_BYTES = 2**26
"""Bytes of a record: an epoch has a few hundred, the graph that version 0.1.0 wrote more."""


def _table() -> Iterator[int]:
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        yield value


MAX_CHECKED_BYTES = 2**26
"""Bytes of a file that are checked; it may come from anyone, and have any size."""


CRC_TABLE = tuple(_table())


def masked_crc(data: bytes) -> int:
    """Return the masked CRC-32C of bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def whole_records(file: BinaryIO) -> tuple[int, bool]:
    """Read an event file; return the size of its complete records, and False if a cut one follows them.

    Raises:
        RunDirError: A record is damaged.
    """
    size = 0
    while size < MAX_CHECKED_BYTES and (head := file.read(12)):
        if len(head) < 12:
            return size, False
        length, crc = struct.unpack("<QI", head)
        if masked_crc(head[:8]) != crc or length > MAX_RECORD_BYTES:
            raise RunDirError(f"damaged at byte {size:,}: not a record")
        body = file.read(length + 4)
        if len(body) < length + 4:
            return size, False
        if masked_crc(body[:-4]) != struct.unpack("<I", body[-4:])[0]:
            raise RunDirError(f"damaged at byte {size:,}: the checksum is not that of the record")
        size += len(head) + len(body)
    return size, True
