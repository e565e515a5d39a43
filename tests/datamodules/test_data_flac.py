import numpy as np
import pytest
import soundfile

from datamodules.flac import count_flac_samples
from datamodules.index import AudioFile
from datamodules.inspection import decode_blocks, read_header
from datamodules.reader import Crop, CropReader

ID3V2 = b"ID3\x04\0\0\0\0\x07\x68" + b"\xff\xf8\xc9\x18" * 250
BLOCK = b"\x02" + (900).to_bytes(3) + b"\xff\xf8\xc9" * 300
"""Metadata of an application."""


@pytest.fixture
def write_flac(tmp_path):
    """Writes noise whose header does not say how long it is; returns the file and the noise as it is decoded."""

    def write(frames, rate=44_100, channels=2, subtype="PCM_16", wrap=lambda content: content):
        file = tmp_path / "x.flac"
        noise = 0.1 * np.random.default_rng(frames).standard_normal((frames, channels))
        soundfile.write(file, noise, rate, subtype)
        whole = soundfile.read(file, dtype="float32", always_2d=True)[0]
        content = bytearray(file.read_bytes())
        content[21] &= 0xF0
        content[22:26] = bytes(4)
        file.write_bytes(wrap(bytes(content)))
        return file, whole

    return write


def check(file, whole, rate=44_100):
    header = read_header(str(file))
    assert header.frames == count_flac_samples(str(file)) == len(whole)
    assert np.array_equal(np.concatenate(list(decode_blocks(str(file), header))), whole)
    samples = min(1_000, len(whole))
    audio = AudioFile("music", str(file.parent), file.name, len(whole), rate, whole.shape[1])
    for start in (0, (len(whole) - samples) // 2, len(whole) - samples):
        crop = CropReader(rate, samples, "left")(Crop(audio, start))
        assert np.array_equal(crop, whole[start : start + samples, 0])


@pytest.mark.parametrize("frames", [1, 17, 300, 4_095, 4_096, 4_097, 70_000, 540_000])
def test_a_file_of_any_length_is_read_to_its_end(write_flac, frames):
    check(*write_flac(frames))


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_099, 48_000, 96_000, 192_000])
@pytest.mark.parametrize(("channels", "subtype"), [(1, "PCM_16"), (2, "PCM_24"), (6, "PCM_16"), (2, "PCM_S8")])
def test_a_file_of_any_kind_is_read_to_its_end(write_flac, rate, channels, subtype):
    check(*write_flac(30_000, rate, channels, subtype), rate)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda content: ID3V2 + content,
        lambda content: content + b"TAG" + bytes(125),
        lambda content: content[:42] + BLOCK + content[42:],
    ],
    ids=["tag before", "tag behind", "metadata"],
)
def test_tags_are_no_sound(write_flac, wrap):
    check(*write_flac(30_000, wrap=wrap))
