"""What is to be known of one audio file: its header at the price of opening it, its sound at the price of decoding it.

libsndfile decodes what it can and is silent about the rest. Here a file is whole, or it is bad for a stated reason.
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from datamodules.flac import STREAM, UntoldFlac, count_flac_samples
from datamodules.mp3 import count_mp3_samples, read_xing
from datamodules.rejection import BadAudioError, naming
from datamodules.walking import FOREIGN, suffix_of

BLOCK = 2**16  # frames decoded at once
UNKNOWN = 2**63 - 1  # libsndfile's number of frames of a flac file that does not say; it cannot seek there
LOST = 0.1  # s that may be missing: encoders disagree whether a frame or two without sound count
EXCESS = 1.0  # s that an mp3's frames may hold beside the sound: the encoder's delay and padding
WIDTHS = {"PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}  # bytes of a sample

SIZES = re.compile(
    r"^ *(?:RIF[FX]|Riff size|FORM|Data Size) *: (\d+) \(should be (\d+)\)", re.MULTILINE | re.IGNORECASE
)
"""libsndfile's note on a container (wav, w64, rf64, aiff, au) larger than its file."""

STRAY = re.compile(r"(?:Unknown chunk marker.*?|Have 0 marker) at position (\w+)")
"""Its note on bytes behind the sound that are no chunk (wav, rf64, aiff)."""

OGG_PAGE = re.compile(rb"OggS\x00([\x00-\x07])")
"""A page and its flags, of which 2 is for the first page of a stream."""


class Header(NamedTuple):
    """What an audio file says of itself.

    Attributes:
        frames: samples per channel.
        rate: Hz.
        channels: number of them.
        format: libsndfile's name of the container, as `WAV`, `OGG` or `MP3`, by content, not by extension.
    """

    frames: int
    rate: int
    channels: int
    format: str


def read_header(location: str) -> Header:
    """Opens an audio file and decodes nothing.

    Raises:
        BadAudioError: `unreadable`, or `format` if its suffix is of a format that libsndfile does not read; `truncated`
            if a wav-like, ogg or mp3 file declares more than it holds; `wrong_length` if a wav-like one declares less;
            `chained` if an ogg file holds a second stream.
    """
    try:
        with opened(location) as sound:
            header = Header(sound.frames, sound.samplerate, sound.channels, sound.format)
            log, sample = sound.extra_info, WIDTHS.get(sound.subtype, 0)
    except soundfile.SoundFileError as error:
        if suffix_of(location) in FOREIGN:
            with naming(location), open(location, "rb") as file:  # which the system may refuse, too
                file.read(1)
            raise BadAudioError("format") from error
        raise BadAudioError("unreadable") from error
    if _cut_off_mp3(location) if header.format == "MP3" else _cut_off(log):
        raise BadAudioError("truncated")
    if _left_over(location, header, log, sample) > LOST * header.rate * header.channels * sample:
        raise BadAudioError("wrong_length")
    if "Junk after the last page" in log and _chained(location, header.format):
        raise BadAudioError("chained")
    return header


def opened(location: str) -> soundfile.SoundFile:
    """Opens an audio file for reading; the length of a flac file that does not say it is looked up at its end.

    Raises:
        BadAudioError: `unreadable` if there is none.
        soundfile.SoundFileError: if libsndfile cannot open it.
    """
    sound = soundfile.SoundFile(os.fsencode(location))
    if sound.frames != UNKNOWN:
        return sound
    sound.close()
    sound = soundfile.SoundFile(UntoldFlac(location))
    if sound.frames == UNKNOWN:
        raise BadAudioError("unreadable")
    return sound


def true_frames(location: str, header: Header) -> int:
    """Samples per channel that libsndfile will decode from a whole file.

    They are those of the header except in an mp3 file that does not declare its length: there the header holds a guess
    that takes pictures in tags for sound, and the file is walked through from frame to frame. That reads all of it
    but takes a fortieth of the time of decoding.
    """
    if header.format != "MP3" or read_xing(location).frames:
        return header.frames
    return min(count_mp3_samples(location) or header.frames, header.frames)


def decode_blocks(location: str, header: Header) -> Iterator[np.ndarray]:
    """Decodes a whole file in blocks, (n, channels), float32, not clipped; its memory is that of one block.

    The blocks add up to `true_frames`, to 0.1 s.

    Args:
        location: the file.
        header: its header, with the frames that it says or the true ones.

    Raises:
        BadAudioError: before the first block `wrong_length`, if libsndfile would stop long before the end of an mp3 or
            flac file: a wrong header, a variable bitrate without a Xing frame, or two mp3 files in one, make it do so;
            or `chained`, if an ogg or flac file holds a second stream, which it would not look at. At a bad block
            `unreadable` or `not_finite`. After the last one `truncated`, or `unreadable` if an ogg stream had a hole.
    """
    if header.format == "MP3" and count_mp3_samples(location) > header.frames + EXCESS * header.rate:
        raise BadAudioError("wrong_length")
    decoded = 0
    try:
        if _chained(location, header.format):
            raise BadAudioError("chained")
        if header.format == "FLAC" and count_flac_samples(location) > header.frames + LOST * header.rate:
            raise BadAudioError("wrong_length")
        with opened(location) as sound:
            while len(frames := sound.read(BLOCK, dtype="float32", always_2d=True)):
                if not np.isfinite(frames).all():
                    raise BadAudioError("not_finite")
                decoded += len(frames)
                yield frames
            log = sound.extra_info
    except soundfile.SoundFileError as error:
        raise BadAudioError("unreadable") from error
    if decoded < true_frames(location, header) - LOST * header.rate:
        raise BadAudioError("truncated")
    if "libogg reports a hole" in log:
        raise BadAudioError("unreadable")


def mono_blocks(location: str, header: Header, sample_rate: int) -> Iterator[np.ndarray]:
    """Decodes a whole file in mono at another rate, in blocks, (n,), float32; a block may be empty.

    They add up to frames * sample_rate // rate samples of the frames decoded, and equal the file resampled at once.

    Args:
        location: the file.
        header: its header.
        sample_rate: Hz, of the blocks.

    Raises:
        BadAudioError: as `decode_blocks` does.
    """
    yield from resampled((mix_down(frames) for frames in decode_blocks(location, header)), header.rate, sample_rate)


def resampled(blocks: Iterable[np.ndarray], rate: int, sample_rate: int, channels: int = 1) -> Iterator[np.ndarray]:
    """Blocks (n,) or (n, channels) at another rate, float32; they equal the whole resampled at once.

    Args:
        blocks: n samples in all; a block may be empty, of those that are returned, too.
        rate: of the blocks, Hz.
        sample_rate: of the result, Hz, which is n * sample_rate // rate samples long.
        channels: of the blocks.
    """
    if rate == sample_rate:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate, sample_rate, channels, dtype="float32", quality="HQ")
    taken = given = 0
    block = np.empty(0, np.float32)
    for block in blocks:
        audio = stream.resample_chunk(block)
        taken, given = taken + len(block), given + len(audio)
        yield audio
    rest = stream.resample_chunk(block[:0], last=True)
    yield rest[: taken * sample_rate // rate - given]


def mix_down(frames: np.ndarray, mono: np.ndarray | None = None) -> np.ndarray:
    """The mean of all channels, (n, channels) -> (n,), float32, into `mono` if given."""
    mono = np.empty(len(frames), np.float32) if mono is None else mono
    mono[:] = frames[:, 0]
    for channel in frames.T[1:]:  # by adding channels: numpy's mean over a short axis is ten times slower
        mono += channel
    if frames.shape[1] > 1:
        mono /= frames.shape[1]
    return mono


def _cut_off(log: str) -> bool:
    """Whether libsndfile's log says that the end of the file is missing."""
    if sizes := SIZES.search(log):
        declared, held = map(int, sizes.groups())
        never_filled_in = -declared % 2**31 < 2**25  # close below 2 or 4 GiB: written to a pipe
        return declared - held > 4096 and not never_filled_in  # some writers err by a chunk header
    return "lacks an end-of-stream bit" in log


def _left_over(location: str, header: Header, log: str, sample: int) -> int:
    """Bytes behind the sound of a wav-like file that are neither sound nor chunks, as far as libsndfile tells.

    They are there if sizes were never filled in, or are those of more than 4 GB, of which only the rest fits.

    Args:
        location: the file.
        header: its header.
        log: libsndfile's.
        sample: bytes of a sample; 0 for others than PCM.
    """
    size, frame = os.path.getsize(location), header.channels * sample
    if header.format == "AU" or "Should be >= 0" in log:  # au has no chunks; what the log says of caf has no position
        return size - header.frames * frame if frame else 0
    stray = STRAY.search(log) if header.format != "W64" else None  # there libsndfile takes all for sound
    padded = header.frames * frame % 2 == 0  # some writers do not pad odd sizes, and the chunks that follow are missed
    return size - int(stray[1], 0) if stray and padded else 0


def _chained(location: str, kind: str) -> bool:
    """Whether a file of a container of this kind holds more than one stream, one after the other."""
    if kind not in ("OGG", "FLAC"):
        return False
    with open(location, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if kind == "FLAC":
            return len(STREAM.findall(data)) > 1
        going = False
        for page in OGG_PAGE.finditer(data):
            begins = bool(page[1][0] & 2)
            if begins and going:
                return True
            going |= not begins
        return False


def _cut_off_mp3(location: str) -> bool:
    """Whether an mp3 file is smaller than the audio that it declares."""
    return (read_xing(location).bytes or 0) > os.path.getsize(location)
