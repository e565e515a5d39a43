"""Audio files as they should not be, and harmless ones that look alike.

Builders take the path to write to; its extension is the format. `BAD_FILES` says what is to be found in each.
"""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

RATE = 44_100


class BadFile(NamedTuple):
    """How to build a file, the reason against it when its header is read, and when all of it is decoded after that."""

    build: Callable[[Path], None]
    scan: str | None
    decoding: str | None


def noise(seconds: float = 2.0, channels: int = 2) -> np.ndarray:
    """White noise of rms 0.1, (T, channels)."""
    return 0.1 * np.random.default_rng(0).standard_normal((round(seconds * RATE), channels)).astype(np.float32)


def good(path: Path) -> None:
    soundfile.write(path, noise(), RATE)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def html(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><title>404 Not Found</title></html>")


def zero_frames(path: Path) -> None:
    soundfile.write(path, noise(0), RATE)


def truncated(path: Path) -> None:
    good(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def corrupt(path: Path) -> None:
    """Overwrites 4000 bytes in the middle."""
    good(path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    path.write_bytes(content)


def not_a_number(path: Path) -> None:
    audio = noise()
    audio[RATE, 1] = np.nan
    soundfile.write(path, audio, RATE, subtype="FLOAT")


def infinite(path: Path) -> None:
    audio = noise()
    audio[-1, 0] = -np.inf
    soundfile.write(path, audio, RATE, subtype="FLOAT")


def loud(path: Path) -> None:
    """Float samples with a peak of 2.83."""
    audio = noise()
    soundfile.write(path, audio * (2.83 / np.abs(audio).max()), RATE, subtype="FLOAT")


def low_rate(path: Path) -> None:
    soundfile.write(path, noise(), 8000)


def six_channels(path: Path) -> None:
    soundfile.write(path, noise(channels=6), RATE)


def flac(path: Path) -> None:
    """Whatever the extension."""
    soundfile.write(path, noise(), RATE, format="FLAC")


def flac_of_unknown_length(path: Path) -> None:
    """As encoders write to a pipe: the 36 bits of the number of samples are 0."""
    good(path)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)


def truncated_flac_of_unknown_length(path: Path) -> None:
    flac_of_unknown_length(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def streamed_wav(path: Path) -> None:
    """As programs write to a pipe: both sizes are 0xFFFFFFFF."""
    good(path)
    content = path.read_bytes()
    never = struct.pack("<I", 0xFFFFFFFF)
    data = content.index(b"data") + 4
    path.write_bytes(content[:4] + never + content[8:data] + never + content[data + 4 :])


def mp3_constant(path: Path) -> None:
    """At 160 kbit/s, frames of 522 and 523 bytes."""
    soundfile.write(path, noise(), RATE, format="MP3", bitrate_mode="CONSTANT", compression_level=0.5)


def mp3_constant_without_xing(path: Path) -> None:
    mp3_constant(path)
    drop_first_frame(path)


def mp3_constant_with_picture_without_xing(path: Path) -> None:
    """A tag of 60 kB stands before the sound."""
    mp3_constant_without_xing(path)
    path.write_bytes(id3_tag(60_000) + path.read_bytes())


def mp3_variable_without_xing(path: Path) -> None:
    """Noise, then silence: the first frame is of the highest bitrate."""
    audio = np.concatenate([noise(), np.zeros((4 * RATE, 2), np.float32)])
    soundfile.write(path, audio, RATE, format="MP3", bitrate_mode="VARIABLE", compression_level=0.5)
    drop_first_frame(path)


def mp3_truncated_without_size(path: Path) -> None:
    """The Xing frame declares a number of frames, but 0 bytes."""
    truncated(path)
    content = bytearray(path.read_bytes())
    size = content.index(b"Xing") + 12
    content[size : size + 4] = bytes(4)
    path.write_bytes(content)


def mp3_two_in_one(path: Path) -> None:
    good(path)
    path.write_bytes(2 * path.read_bytes())


def chained(path: Path) -> None:
    """Two streams of the same length, one after the other, as recordings of web radio are."""
    kind = {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}
    streams = []
    for sign in (1, -1):
        soundfile.write(path, sign * noise(), 48_000, **kind)
        streams.append(path.read_bytes())
    path.write_bytes(b"".join(streams))


def twice(path: Path) -> None:
    """The same file two times, so that both streams have one serial number."""
    good(path)
    path.write_bytes(2 * path.read_bytes())


def flac_that_says_less(path: Path) -> None:
    good(path)
    content = bytearray(path.read_bytes())
    content[22:26] = RATE.to_bytes(4)
    path.write_bytes(content)


def says_less(path: Path) -> None:
    """The size of the sound in the header is a third of what follows, as if it had been 4 GB and more."""
    good(path)
    content = path.read_bytes()
    mark, distance, kind = {
        ".wav": (b"data", 4, "<I"),
        ".aiff": (b"SSND", 4, ">I"),
        ".au": (b".snd", 8, ">I"),
        ".caf": (b"data", 4, ">q"),
        ".rf64": (b"ds64", 16, "<Q"),
    }[path.suffix]
    place = content.index(mark) + distance
    size = struct.pack(kind, len(content) // 12 * 4)
    path.write_bytes(content[:place] + size + content[place + len(size) :])


def never_filled_in(path: Path) -> None:
    """As a program leaves it that was killed while it wrote: both sizes are 0."""
    good(path)
    content = path.read_bytes()
    data = content.index(b"data") + 4
    path.write_bytes(content[:4] + bytes(4) + content[8:data] + bytes(4) + content[data + 4 :])


def chunk_behind(path: Path) -> None:
    """A chunk of an unknown kind, larger than the sound, stands behind it."""
    good(path)
    content = path.read_bytes() + b"LGWV" + struct.pack("<I", 500_000) + bytes(500_000)
    path.write_bytes(content[:4] + struct.pack("<I", len(content) - 8) + content[8:])


def drop_first_frame(path: Path) -> None:
    """Removes what stands before the second MPEG frame header."""
    content = path.read_bytes()
    path.write_bytes(content[content.index(content[:2], 2) :])


def id3_tag(size: int) -> bytes:
    """An ID3v2 tag of a header and this many bytes, all of them 0xFF as if for a false frame header."""
    return b"ID3\x04\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + b"\xff" * size


BAD_FILES = {
    "empty.wav": BadFile(empty, "unreadable", "unreadable"),
    "html.mp3": BadFile(html, "unreadable", "unreadable"),
    "zero_frames.flac": BadFile(zero_frames, "unreadable", "unreadable"),
    "zero_frames.wav": BadFile(zero_frames, None, None),
    "unknown_length.flac": BadFile(flac_of_unknown_length, None, None),
    "says_less.flac": BadFile(flac_that_says_less, None, "wrong_length"),
    "says_less.wav": BadFile(says_less, "wrong_length", "wrong_length"),
    "says_less.aiff": BadFile(says_less, "wrong_length", "wrong_length"),
    "says_less.au": BadFile(says_less, "wrong_length", "wrong_length"),
    "says_less.caf": BadFile(says_less, "wrong_length", "wrong_length"),
    "says_less.rf64": BadFile(says_less, "wrong_length", "wrong_length"),
    "never_filled_in.wav": BadFile(never_filled_in, "wrong_length", "wrong_length"),
    "chunk_behind.wav": BadFile(chunk_behind, None, None),
    "chained.ogg": BadFile(chained, "chained", "chained"),
    "chained.opus": BadFile(chained, "chained", "chained"),
    "chained.flac": BadFile(chained, None, "chained"),
    "twice.ogg": BadFile(twice, None, "chained"),
    "truncated.wav": BadFile(truncated, "truncated", "truncated"),
    "truncated.aiff": BadFile(truncated, "truncated", "truncated"),
    "truncated.w64": BadFile(truncated, "truncated", "truncated"),
    "truncated.rf64": BadFile(truncated, "truncated", "truncated"),
    "truncated.au": BadFile(truncated, "truncated", "truncated"),
    "truncated.ogg": BadFile(truncated, "truncated", "truncated"),
    "truncated.mp3": BadFile(truncated, "truncated", "truncated"),
    "truncated_without_size.mp3": BadFile(mp3_truncated_without_size, None, "truncated"),
    "truncated.flac": BadFile(truncated, None, "unreadable"),
    "truncated_unknown_length.flac": BadFile(truncated_flac_of_unknown_length, None, "unreadable"),
    "corrupt.flac": BadFile(corrupt, None, "unreadable"),
    "corrupt.mp3": BadFile(corrupt, None, "unreadable"),
    "corrupt.ogg": BadFile(corrupt, None, "unreadable"),
    "not_a_number.wav": BadFile(not_a_number, None, "not_finite"),
    "infinite.wav": BadFile(infinite, None, "not_finite"),
    "variable_without_xing.mp3": BadFile(mp3_variable_without_xing, None, "wrong_length"),
    "two_in_one.mp3": BadFile(mp3_two_in_one, None, "wrong_length"),
    "constant_without_xing.mp3": BadFile(mp3_constant_without_xing, None, None),
    "picture_without_xing.mp3": BadFile(mp3_constant_with_picture_without_xing, None, None),
    "streamed.wav": BadFile(streamed_wav, None, None),
    "flac_named.wav": BadFile(flac, None, None),
    "low_rate.wav": BadFile(low_rate, None, None),
    "six_channels.wav": BadFile(six_channels, None, None),
    "loud.wav": BadFile(loud, None, None),
}
