import struct

import numpy as np
import pytest
import soundfile

from datamodules.mp3 import Xing, count_mp3_samples, read_xing

ID3V1 = b"TAG" + bytes(125)
APE = b"APETAGEX" + struct.pack("<4I8x", 2000, 32, 1, 1 << 31) + b"\xff\xd8\xff\xe0" + bytes(28)


def id3v2(size, footer=False):
    """A tag of this many bytes beside its header, all of them like the beginning of a frame header."""
    flags, length = 0x10 * footer, bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\4\0" + bytes([flags]) + length + (b"\xff\xfb\xff" * size)[:size] + (b"3DI" + bytes(7)) * footer


def encode(file, rate=44_100, channels=2, mode="CONSTANT", seconds=1.0):
    """Noise that fades, so that a variable bitrate varies. Returns the content of the file."""
    samples = round(seconds * rate)
    noise = np.random.default_rng(0).standard_normal((samples, channels)) * np.geomspace(0.1, 1e-5, samples)[:, None]
    soundfile.write(file, noise, rate, format="MP3", bitrate_mode=mode, compression_level=0.5)
    return file.read_bytes()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.mp3"


@pytest.fixture
def audio(file):
    """A constant bitrate of 160 kbit/s, without the leading Info frame of 522 bytes."""
    content = encode(file)
    assert b"Info" in content[:522]
    return content[522:]


@pytest.mark.parametrize("rate", [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE", "AVERAGE"])
def test_as_many_frames_are_found_as_the_encoder_says(file, rate, mode):
    for channels in (1, 2):
        content = encode(file, rate, channels, mode)
        declared = read_xing(str(file))
        assert declared.bytes == len(content)
        assert count_mp3_samples(str(file)) == declared.frames * (1152 if rate >= 32_000 else 576)


def test_a_file_without_xing_frame_lasts_as_long_as_decoding_says(file, audio):
    for cut in (0, 1, 100, 521, 522, 523, 1044, 1045):
        file.write_bytes(audio[: len(audio) - cut])
        assert count_mp3_samples(str(file)) == len(soundfile.read(file)[0])
    assert read_xing(str(file)) == Xing(None, None)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda audio: id3v2(3000) + audio,
        lambda audio: id3v2(70_000, footer=True) + audio,
        lambda audio: id3v2(300) + bytes(5000) + audio,
        lambda audio: b"\xff\xfb\xff" * 500 + audio,
        lambda audio: audio + ID3V1,
        lambda audio: audio + APE + ID3V1,
        lambda audio: audio[: 522 * 20] + bytes(range(256)) * 4 + audio[522 * 20 :],
        lambda audio: audio + b"\xff",
    ],
)
def test_tags_and_garbage_are_no_audio(file, audio, wrap):
    file.write_bytes(audio)
    samples = count_mp3_samples(str(file))
    file.write_bytes(wrap(audio))
    assert count_mp3_samples(str(file)) == samples > 40_000


def test_a_head_frame_is_no_audio(file, audio):
    file.write_bytes(audio)
    samples = count_mp3_samples(str(file))
    for head in (b"Xing", b"Info", b"VBRI"):
        file.write_bytes(audio[:4] + bytes(32) + head + bytes(522 - 40) + audio)
        assert count_mp3_samples(str(file)) == samples
        assert read_xing(str(file)) == Xing(None, None)


def test_what_a_xing_frame_declares_is_read_behind_a_tag(file):
    content = encode(file, mode="VARIABLE")
    declared = read_xing(str(file))
    file.write_bytes(id3v2(5000, footer=True) + content)
    assert read_xing(str(file)) == declared
    position = content.index(b"Xing") + 4
    cases = {(0,): (None, None), (1, 7): (7, None), (2, 9): (None, 9), (3, 7, 9): (7, 9), (3, 0, 0): (None, None)}
    for fields, expected in cases.items():
        changed = struct.pack(f">{len(fields)}I", *fields)
        file.write_bytes(content[:position] + changed + content[position + len(changed) :])
        assert read_xing(str(file)) == expected


def test_free_format_other_layers_and_other_files_have_no_samples(file, audio):
    frame = audio[:522]
    for index, value in ((1, frame[1] ^ 0b110), (2, frame[2] & 0x0F), (2, frame[2] | 0xF0), (2, frame[2] | 0b1100)):
        other = bytearray(frame)
        other[index] = value
        file.write_bytes(bytes(other) * 10)
        assert count_mp3_samples(str(file)) == 0
    for content in (b"", b"\xff", b"ID3", b"<html>", bytes(10_000)):
        file.write_bytes(content)
        assert count_mp3_samples(str(file)) == 0
        assert read_xing(str(file)) == Xing(None, None)
