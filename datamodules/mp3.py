"""How long an mp3 file is: what its head declares, and what a walk along its frames finds.

An mp3 file is a row of MPEG audio frames, each with a header of its own. Nothing says how many there are unless the
encoder put a Xing or Info frame first; decoders then guess from the size of the file and the bitrate of one frame.

Sources: ISO/IEC 11172-3 and 13818-3, section 2.4 (frame headers), id3.org (ID3v2 tags).
"""

from __future__ import annotations

import mmap
import os
import re
from functools import lru_cache
from typing import NamedTuple

BITRATES = {  # kbit/s of layer III; index 0 is the free format, 15 is forbidden
    "MPEG 1": (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    "MPEG 2": (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
RATES = (44_100, 48_000, 32_000)  # Hz of MPEG 1; half of it in MPEG 2, a quarter in MPEG 2.5
HALVINGS = {0b11: 0, 0b10: 1, 0b00: 2}  # by the version bits

SYNC = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb].", re.DOTALL)  # 11 bits, then any version, then layer III
XING = re.compile(rb"(?:Xing|Info)(.{4})(.{4})(.{4})", re.DOTALL)
NO_AUDIO = re.compile(rb"Xing|Info|VBRI")
HEAD = 64  # bytes of a frame, and of the footer that a tag may leave before it, in which these names are found


class Xing(NamedTuple):
    """What the first frame of an mp3 file declares; None where it is silent.

    Attributes:
        frames: MPEG audio frames that follow it.
        bytes: of the audio, this frame included, tags not.
    """

    frames: int | None = None
    bytes: int | None = None


def read_xing(location: str) -> Xing:
    """Reads the Xing or Info frame of an mp3 file; looks at its first bytes alone."""
    with open(location, "rb") as file:
        file.seek(_id3_length(file.read(10)))
        match = XING.search(file.read(HEAD))
    if not match:
        return Xing()
    flags, *fields = (int.from_bytes(field) for field in match.groups())
    frames = fields.pop(0) if flags & 1 else None
    return Xing(frames or None, fields[0] or None if flags & 2 else None)


def count_mp3_samples(location: str) -> int:
    """Samples per channel in the MPEG audio frames of an mp3 file, found by walking from frame header to frame header.

    The encoder's delay and padding are counted, a leading Xing, Info or VBRI frame and an incomplete last frame are
    not. Tags and other strange bytes between frames are passed over. Frames of free format or of other layers are
    strange bytes too, so that a file of these has 0 samples.
    """
    size = os.path.getsize(location)
    if not size:  # which cannot be mapped
        return 0
    samples = 0
    with open(location, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        position = _next_frame(data, _id3_length(data[:10]))
        if NO_AUDIO.search(data, position, position + HEAD) and (frame := _frame(data[position : position + 3])):
            position += frame[0]
        while position < size:
            if frame := _frame(data[position : position + 3]):
                position += frame[0]
                if position <= size:
                    samples += frame[1]
            else:
                position = _next_frame(data, position)
    return samples


@lru_cache(4096)
def _frame(header: bytes) -> tuple[int, int] | None:
    """Bytes and samples of the layer III frame whose header begins with these three bytes, None if there is none."""
    if not SYNC.fullmatch(header):
        return None
    version = header[1] >> 3 & 0b11
    bitrate = BITRATES["MPEG 1" if version == 0b11 else "MPEG 2"][header[2] >> 4]
    rate = header[2] >> 2 & 0b11
    if not bitrate or rate == 0b11:
        return None
    samples = 1152 if version == 0b11 else 576
    padding = header[2] >> 1 & 1
    return samples // 8 * bitrate * 1000 // (RATES[rate] >> HALVINGS[version]) + padding, samples


def _next_frame(data: mmap.mmap, position: int) -> int:
    """First position from here on of a frame that another frame follows, the end of the data if there is none."""
    for match in SYNC.finditer(data, position):
        frame = _frame(match[0])
        if frame and _frame(data[match.start() + frame[0] : match.start() + frame[0] + 3]):
            return match.start()
    return len(data)


def _id3_length(head: bytes) -> int:
    """Bytes of the ID3v2 tag that begins with these ten, less its footer; 0 if there is none."""
    if len(head) < 10 or not head.startswith(b"ID3"):
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
