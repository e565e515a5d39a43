import struct

import numpy as np
import pytest
import soundfile
import soxr

from datamodules.inspection import BLOCK, Header, decode_blocks, mono_blocks, read_header, true_frames
from datamodules.rejection import BadAudioError


def reason(function, *arguments):
    """Why a file is refused, None if it is not, and the frames that it gave before."""
    frames = 0
    try:
        for block in function(*arguments):
            frames += len(block)
    except BadAudioError as error:
        return error.reason, frames
    return None, frames


def scanned(location):
    yield from [read_header(location)]


def decoded(location):
    yield from decode_blocks(location, read_header(location))


def test_each_bad_file_is_refused_for_its_reason_and_no_other(bad_file):
    location, scan, decoding = bad_file
    assert reason(scanned, location)[0] == scan
    assert reason(decoded, location)[0] == decoding


def test_whole_files_are_decoded_as_they_were_written(tmp_path, bad_audio):
    for name in ("flac_named.wav", "streamed.wav", "low_rate.wav", "six_channels.wav", "loud.wav"):
        file = tmp_path / name
        bad_audio[name][0](file)
        header = read_header(str(file))
        audio = np.concatenate(list(decode_blocks(str(file), header)))
        assert audio.shape == (88_200, 6 if "six" in name else 2)
        assert header == Header(
            88_200, 8000 if "low" in name else 44_100, audio.shape[1], "FLAC" if "flac" in name else "WAV"
        )
        assert np.abs(audio).max() == pytest.approx(2.83 if "loud" in name else 0.45, rel=0.1)
        assert np.array_equal(audio, soundfile.read(file, dtype="float32")[0])


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "opus", "mp3", "aiff", "w64", "rf64", "au", "caf"])
def test_good_files_of_all_kinds_are_good(tmp_path, extension):
    file = tmp_path / f"a.{extension}"
    noise = 0.1 * np.random.default_rng(0).standard_normal((2 * BLOCK + 4321, 2))
    kind = {"format": "OGG", "subtype": "OPUS"} if extension == "opus" else {"format": extension.upper()}
    soundfile.write(file, noise, 48_000, **kind)
    header = read_header(str(file))
    assert header[:3] == (len(noise), 48_000, 2)
    assert true_frames(str(file), header) == len(noise)
    blocks = list(decode_blocks(str(file), header))
    assert [len(block) for block in blocks] == [BLOCK, BLOCK, 4321]
    assert {block.dtype for block in blocks} == {np.dtype(np.float32)}


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0xFFFFFFFF - 36, 0x80000000, 0x7FFFFFFF, 0x7FFFF000, 0x7F000000])
@pytest.mark.parametrize(("name", "chunk", "order"), [("a.wav", b"data", "<"), ("a.aiff", b"SSND", ">")])
def test_sizes_that_a_pipe_never_learns_are_no_promises(tmp_path, write_noise, name, chunk, order, size):
    noise = write_noise(name)
    content = (tmp_path / name).read_bytes()
    position = content.index(chunk) + 4
    never = struct.pack(f"{order}I", size)
    (tmp_path / name).write_bytes(content[:4] + never + content[8:position] + never + content[position + 4 :])
    assert read_header(str(tmp_path / name)).frames == len(noise)


@pytest.mark.parametrize(("excess", "expected"), [(8, None), (100_000, "truncated")])
def test_a_wav_may_err_by_a_chunk_header(tmp_path, write_noise, excess, expected):
    write_noise("a.wav")
    content = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(content[:4] + struct.pack("<I", len(content) - 8 + excess) + content[8:])
    assert reason(scanned, str(tmp_path / "a.wav"))[0] == expected


def test_an_ogg_file_may_have_a_tag_behind_it(tmp_path, write_noise):
    write_noise("a.ogg")
    file = tmp_path / "a.ogg"
    file.write_bytes(file.read_bytes() + b"TAG" + bytes(125))
    assert reason(decoded, str(file)) == (None, 16_000)


@pytest.mark.parametrize("name", ["", "missing.wav", "not-utf-8-\udcff.wav"])
def test_what_cannot_be_opened_is_unreadable(tmp_path, name):
    assert reason(scanned, str(tmp_path / name))[0] == "unreadable"


def test_sound_before_a_bad_block_is_given(tmp_path, write_noise):
    noise = write_noise("a.wav", 20.0)
    noise[2 * BLOCK + 5] = np.nan
    soundfile.write(tmp_path / "a.wav", noise, 16_000, subtype="FLOAT")
    assert reason(decoded, str(tmp_path / "a.wav")) == ("not_finite", 2 * BLOCK)


@pytest.mark.parametrize("name", ["constant_without_xing.mp3", "picture_without_xing.mp3"])
def test_an_mp3_file_whose_length_is_guessed_has_the_length_of_what_is_decoded(tmp_path, bad_audio, name):
    location = str(tmp_path / name)
    bad_audio[name][0](tmp_path / name)
    guess = read_header(location)
    whole = soundfile.read(location)[0].mean(axis=1)
    assert len(whole) < guess.frames
    assert true_frames(location, guess) == len(whole)
    for header in (guess, guess._replace(frames=len(whole))):
        mono = np.concatenate(list(mono_blocks(location, header, 44_100)))
        np.testing.assert_allclose(mono, whole, atol=1e-6)
        assert sum(map(len, mono_blocks(location, header, 48_000))) == len(whole) * 48_000 // 44_100


def test_an_mp3_file_of_another_layer_has_the_length_that_its_header_guesses(tmp_path):
    file = tmp_path / "a.mp3"
    file.write_bytes((b"\xff\xfd\xa4\x00" + bytes(572)) * 50)  # layer II, 192 kbit/s, 48 kHz, all bits unallocated
    header = read_header(str(file))
    assert true_frames(str(file), header) == header.frames == 50 * 1152
    assert reason(decoded, str(file)) == (None, 50 * 1152)


def test_a_guess_a_little_too_short_is_what_is_decoded(tmp_path, bad_audio):
    file = tmp_path / "a.mp3"
    bad_audio["constant_without_xing.mp3"][0](file)
    content = file.read_bytes()
    longer = next(n for n in range(0, len(content), 522) if content[n + 2] & 2)  # a frame of 523 bytes is first
    file.write_bytes(content[longer:])
    header = read_header(str(file))
    frames = len(soundfile.read(file)[0])
    assert frames % 1152 != 0  # the decoder stops within a frame
    assert true_frames(str(file), header) == header.frames == frames


def test_the_excess_of_an_mp3_file_is_not_decoded_first(tmp_path, bad_audio):
    bad_audio["variable_without_xing.mp3"][0](tmp_path / "a.mp3")
    assert reason(decoded, str(tmp_path / "a.mp3")) == ("wrong_length", 0)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_099, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_resampled_blocks_are_the_file_resampled_at_once(tmp_path, write_noise, rate, channels):
    noise = write_noise("a.wav", 2.3 * BLOCK / rate, rate, channels)
    whole = soxr.resample(noise.mean(axis=1), rate, 44_100, quality="HQ")
    location = str(tmp_path / "a.wav")
    blocks = list(mono_blocks(location, read_header(location), 44_100))
    assert len(blocks) > 2
    assert {block.dtype for block in blocks} == {np.dtype(np.float32)}
    audio = np.concatenate(blocks)
    assert len(audio) == len(noise) * 44_100 // rate
    np.testing.assert_allclose(audio, whole[: len(audio)], atol=1e-6)


def test_a_file_of_any_length_gives_its_share_of_samples(tmp_path, write_noise):
    for frames in (0, 1, 2, 3, 100, 441, 479, 481, 12_345, BLOCK - 1, BLOCK, BLOCK + 1):
        for rate in (8_000, 44_099, 48_000, 192_000):
            write_noise("a.wav", frames / rate, rate)
            header = read_header(str(tmp_path / "a.wav"))
            assert header.frames == frames
            for to in (16_000, 44_100):
                assert sum(map(len, mono_blocks(str(tmp_path / "a.wav"), header, to))) == frames * to // rate
