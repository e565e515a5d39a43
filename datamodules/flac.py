"""How long a flac file is where its header does not say, as encoders that write to a pipe leave it.

Each frame of a flac file has a header of its own with its number, so the last frame tells where the sound ends.

Source: RFC 9639, sections 8.2 (stream information) and 9.1 (frame headers).
"""

from __future__ import annotations

import io
import mmap
import re
from typing import Any

STREAM = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # a stream begins with its information, which is 34 bytes long
TOTAL = 13  # bytes from there to the total number of samples, which is the last 36 of 40 bits


class UntoldFlac(io.FileIO):
    """A flac file whose header does not say how long it is, read as if it did; any other file as it is.

    Args:
        location: the file.
    """

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self._place, self._told = 0, b""
        with mmap.mmap(self.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if stream := STREAM.search(data):
                self._place = stream.end() + TOTAL
                self._told = (int.from_bytes(data[self._place : self._place + 5]) | end_of_sound(data)).to_bytes(5)

    def readinto(self, buffer: Any) -> int:
        """Reads on, with the length in its place."""
        position = self.tell()
        count = super().readinto(buffer) or 0
        view = memoryview(buffer).cast("B")
        for place, byte in enumerate(self._told, self._place - position):
            if 0 <= place < count:
                view[place] = byte
        return count


def count_flac_samples(location: str) -> int:
    """Samples per channel up to the end of the last frame, by its number; 0 if there is none.

    What the header of the file says of its length is not asked.
    """
    with open(location, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return end_of_sound(data)


def end_of_sound(data: mmap.mmap) -> int:
    """The same of the bytes of a file."""
    if not (stream := STREAM.search(data)):
        return 0
    first, last = stream.start() + 4, False
    while not last and first < len(data):  # over the blocks of metadata
        last, first = bool(data[first] & 0x80), first + 4 + int.from_bytes(data[first + 1 : first + 4])
    sync, kind = data[first : first + 2], data[first + 2 : first + 4]
    position = len(data)
    while len(kind) == 2 and (position := data.rfind(sync, first, position)) >= 0:
        if found := frame_header(data[position : position + 16], kind):
            number, samples = found
            size = 1 if sync[1] & 1 else int.from_bytes(data[stream.end() : stream.end() + 2])  # of all but the last
            return number * size + samples
    return 0


def frame_header(header: bytes, kind: bytes) -> tuple[int, int] | None:
    """Number of a frame (or of its first sample, if blocks vary in size), and its samples; None if it is no frame.

    Args:
        header: 16 bytes, or fewer at the end of a file.
        kind: the third and fourth byte of a frame of the same stream: rate and bits per sample are as there.
    """
    if len(header) < 6 or (header[2] ^ kind[0]) & 0x0F or (header[3] ^ kind[1]) & 0x0F:
        return None
    ones = 8 - (~header[4] & 0xFF).bit_length()  # leading 1s of the number, which is written as UTF-8 is
    if ones in (1, 8):
        return None
    number = header[4] & (0x7F >> ones)
    position = 4 + max(1, ones)
    for byte in header[5:position]:
        number = number << 6 | byte & 0x3F
    code = header[2] >> 4
    extra = {6: 1, 7: 2}.get(code, 0)
    if extra:
        samples = int.from_bytes(header[position : position + extra]) + 1
    else:
        samples = (0, 192, 576, 1152, 2304, 4608, 0, 0)[code] if code < 8 else 1 << code
    position += extra + {12: 1, 13: 2, 14: 2}.get(header[2] & 0x0F, 0)
    whole = len(header) > position and samples > 0 and crc8(header[:position]) == header[position]
    return (number, samples) if whole else None


def crc8(content: bytes) -> int:
    """The checksum of a frame header: polynomial x^8 + x^2 + x + 1."""
    value = 0
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x07 * (value >> 7)) & 0xFF
    return value
