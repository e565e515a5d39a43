"""`lincae encode` and `lincae decode`, as one would use them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lincae import Autoencoder
from lincae.cli import decode, encode, file_jobs
from lincae.cli.main import main


def run(*arguments):
    main([str(argument) for argument in arguments])


def snr(found, expected):
    assert found.shape == expected.shape
    return 10 * np.log10(np.square(expected).sum() / max(np.square(found - expected).sum(), 1e-30))


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("model", ["identity", "spectral", "consistency"])
@pytest.mark.parametrize("chunk", [10, 0.1])
def test_a_decode_is_that_of_the_library_bit_for_bit(model, chunk, sound, tmp_path, request):
    source, path = request.getfixturevalue(model), sound("a.wav")
    run("encode", path, "-o", tmp_path / "z", "--model", source, "--chunk", chunk)
    run("decode", tmp_path / "z", "-o", tmp_path / "out", "--chunk", chunk, "--seed", 5)

    size = round(44_100 * chunk)
    library = Autoencoder.from_pretrained(source, max_chunk_size=size, seamless=True, padded_edges=True, device="cpu")
    audio = torch.from_numpy(soundfile.read(path, dtype="float32")[0].T)
    latents = library.encode(audio)
    assert torch.equal(load_file(tmp_path / "z" / "a.safetensors")["latents"], latents)
    decoded = [library.decode(z[None], 20_000, generator=torch.Generator().manual_seed(5))[0] for z in latents]
    assert np.array_equal(soundfile.read(tmp_path / "out" / "a.wav", dtype="float32")[0], torch.stack(decoded).T)


@pytest.mark.parametrize(
    ("name", "rate", "channels"),
    [("a.wav", 44_100, 1), ("a.flac", 48_000, 2), ("a.mp3", 44_100, 2), ("a.ogg", 22_050, 1), ("a.aiff", 96_000, 5)],
)
def test_length_channels_and_rate_of_any_format_come_back(name, rate, channels, sound, identity, tmp_path):
    path = sound(name, rate + 123, rate, channels)
    run("encode", path, "-o", tmp_path / "a.safetensors", "--model", identity)
    run("decode", tmp_path / "a.safetensors", "-o", tmp_path / "out.wav")
    original, _ = soundfile.read(path, always_2d=True)
    decoded, found = soundfile.read(tmp_path / "out.wav", always_2d=True)
    assert found == rate
    assert snr(decoded, original) > (80 if rate > 44_000 else 50)
    if rate == 44_100:
        assert np.array_equal(decoded.astype(np.float32), soundfile.read(path, dtype="float32", always_2d=True)[0])


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("chunk", [10, 0.1])
def test_a_stereo_model_hears_both_channels_at_once(chunk, channels, stereo, sound, tmp_path):
    run("encode", sound("a.wav", channels=channels), "-o", tmp_path / "z", "--model", stereo, "--chunk", chunk)
    run("decode", tmp_path / "z", "-o", tmp_path / "out", "--chunk", chunk)

    size = round(44_100 * chunk)
    library = Autoencoder.from_pretrained(stereo, max_chunk_size=size, seamless=True, padded_edges=True, device="cpu")
    audio = torch.from_numpy(soundfile.read(tmp_path / "a.wav", dtype="float32", always_2d=True)[0].T)
    latents = library.encode(torch.stack([audio[0], audio[-1]]))
    assert torch.equal(load_file(tmp_path / "z" / "a.safetensors")["latents"], latents)
    (decoded,) = library.decode(latents, 20_000)
    expected = decoded if channels == 2 else decoded.mean(dim=0, keepdim=True)
    assert np.array_equal(soundfile.read(tmp_path / "out" / "a.wav", dtype="float32", always_2d=True)[0], expected.T)


def test_a_stereo_model_refuses_other_numbers_of_channels(stereo, sound, tmp_path, refused):
    command = "encode", sound("a.wav", channels=5), sound("b.wav"), "-o", tmp_path / "z", "--model", stereo
    assert "a.wav has 5 channels, and the model hears 2 at once" in refused(*command)
    assert not (tmp_path / "z").exists()


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 32_000, 48_000, 88_200])
def test_every_length_comes_back_from_another_rate(rate, sound, identity, tmp_path):
    for frames in (1, 2, 3, 159, 160, 161, 4001, 4002):
        sound(f"in/{frames}.wav", frames, rate, 1)
    run("encode", tmp_path / "in", "-o", tmp_path / "z", "--model", identity)
    run("decode", tmp_path / "z", "-o", tmp_path / "out")
    for frames in (1, 2, 3, 159, 160, 161, 4001, 4002):
        info = soundfile.info(tmp_path / "out" / f"{frames}.wav")
        assert (info.frames, info.samplerate) == (frames, rate)


def test_the_models_rate_can_be_asked_for(sound, identity, tmp_path):
    path = sound("a.flac", 4800, 48_000)
    run("encode", path, "-o", tmp_path, "--model", identity)
    run("decode", tmp_path / "a.safetensors", "-o", tmp_path / "a.wav", "--rate", "model")
    info = soundfile.info(tmp_path / "a.wav")
    assert (info.frames, info.samplerate, info.channels) == (4410, 44_100, 2)


def test_channels_that_are_equal_stay_equal_though_noise_is_drawn(consistency, tmp_path):
    mono = 0.1 * np.random.default_rng(0).standard_normal((9000, 1))
    soundfile.write(tmp_path / "a.wav", np.repeat(mono, 2, axis=1), 44_100, subtype="FLOAT")
    run("encode", tmp_path / "a.wav", "-o", tmp_path, "--model", consistency)
    for name, seed in {"0": 0, "again": 0, "1": 1}.items():
        run("decode", tmp_path / "a.safetensors", "-o", tmp_path / f"{name}.wav", "--seed", seed)
    first, again, other = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("0", "again", "1"))
    assert np.array_equal(first[:, 0], first[:, 1])
    assert np.array_equal(first, again)
    assert snr(first, other) < 10


def test_folders_keep_their_places_and_other_files_are_left_alone(sound, identity, tmp_path, capsys):
    for name in ("in/a.wav", "in/b/c.FLAC", "in/b/d/e f.ogg", "single.mp3"):
        sound(name, 2000)
    (tmp_path / "in" / "cover.jpg").write_text("picture")
    run("encode", tmp_path / "in", tmp_path / "single.mp3", "-o", tmp_path / "z", "--model", identity)
    assert files(tmp_path / "z") == ["a.safetensors", "b/c.safetensors", "b/d/e f.safetensors", "single.safetensors"]
    assert "4 files, " in capsys.readouterr().out
    run("decode", tmp_path / "z", "-o", tmp_path / "out", "--format", "flac")
    assert files(tmp_path / "out") == ["a.flac", "b/c.flac", "b/d/e f.flac", "single.flac"]
    assert soundfile.info(tmp_path / "out" / "a.flac").subtype == "PCM_24"


def test_folders_are_walked_as_in_training(sound, identity, tmp_path, capsys):
    """Links are followed, each file is taken once, what is hidden is passed over and what cannot be read is named."""
    for name in ("in/a.wav", "elsewhere/b.wav"):
        sound(name, 2000)
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "._a.wav").write_text("written by macOS")
    (tmp_path / "in" / "song.m4a").write_text("not read by libsndfile")
    run("encode", tmp_path / "in", "-o", tmp_path / "z", "--model", identity)
    assert files(tmp_path / "z") == ["a.safetensors", "linked/b.safetensors"]
    warning = capsys.readouterr().err
    assert "song.m4a" in warning
    assert "ffmpeg" in warning


def test_a_format_that_cannot_be_read_is_refused_with_its_cure(identity, tmp_path, refused):
    (tmp_path / "song.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    line = refused("encode", tmp_path / "song.m4a", "-o", tmp_path / "z", "--model", identity)
    assert "song.m4a" in line
    assert "ffmpeg" in line


def test_the_bar_is_full_at_the_end(sound, identity, tmp_path, monkeypatch):
    moves, totals = [], []

    class Bar:
        def __init__(self, total, **settings):
            totals.append(total)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def update(self, seconds):
            moves.append(seconds)

    monkeypatch.setattr(file_jobs, "tqdm", Bar)
    sound("in/a.wav", 44_100)
    sound("in/b.flac", 24_000, 48_000, 1)
    run("encode", tmp_path / "in", "-o", tmp_path / "z", "--model", identity, "--chunk", 0.1)
    assert len(moves) > 20
    assert totals == [1.5]
    assert sum(moves) == pytest.approx(1.5)
    moves.clear()
    run("decode", tmp_path / "z", "-o", tmp_path / "out", "--chunk", 0.1)
    assert sum(moves) == pytest.approx(totals[1]) == pytest.approx(1.5)


def test_nothing_is_overwritten_unasked(sound, identity, tmp_path, refused):
    sound("in/a.wav"), sound("in/b.wav", seed=1)
    run("encode", tmp_path / "in" / "b.wav", "-o", tmp_path / "z", "--model", identity)
    before = (tmp_path / "z" / "b.safetensors").read_bytes()
    line = refused("encode", tmp_path / "in", "-o", tmp_path / "z", "--model", identity)
    assert line.endswith("b.safetensors is already there: give another place, or --overwrite")
    assert files(tmp_path / "z") == ["b.safetensors"]
    sound("in/b.wav", seed=2)
    run("encode", tmp_path / "in", "-o", tmp_path / "z", "--model", identity, "--overwrite")
    assert (tmp_path / "z" / "b.safetensors").read_bytes() != before

    (tmp_path / "out.wav").write_text("mine")
    assert "already there" in refused("decode", tmp_path / "z" / "a.safetensors", "-o", tmp_path / "out.wav")
    assert (tmp_path / "out.wav").read_text() == "mine"
    run("decode", tmp_path / "z" / "a.safetensors", "-o", tmp_path / "out.wav", "--overwrite")
    assert soundfile.info(tmp_path / "out.wav").frames == 20_000


def test_two_files_that_would_become_one_are_refused(sound, identity, tmp_path, refused):
    sound("in/a.wav"), sound("in/a.flac")
    line = refused("encode", tmp_path / "in", "-o", tmp_path / "z", "--model", identity)
    assert "a.flac and " in line
    assert "would both become" in line
    assert not (tmp_path / "z").exists()


def bad_files(folder: Path, sound):
    """Each file, and what is said of it."""
    folder.mkdir()
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("this is not audio")
    soundfile.write(folder / "zero.wav", np.zeros((0, 2)), 44_100)
    whole = Path(sound("whole.wav")).read_bytes()
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
    audio = np.zeros(5000)
    audio[4000] = np.nan
    soundfile.write(folder / "nan.wav", audio, 44_100, subtype="FLOAT")
    return {
        "empty.wav": "is empty",
        "text.wav": "is no audio file that can be read",
        "zero.wav": "holds no samples",
        "cut.wav": "holds less audio than its header says",
        "nan.wav": "holds NaN or infinite samples",
        "missing.wav": "there is no file or folder",
    }


def test_bad_audio_ends_in_one_line_and_nothing_is_written(sound, identity, tmp_path, refused):
    for name, words in bad_files(tmp_path / "bad", sound).items():
        line = refused("encode", tmp_path / "bad" / name, "-o", tmp_path / "z", "--model", identity)
        assert words in line
        assert name in line
        assert not (tmp_path / "z").exists()


@pytest.mark.parametrize("name", ["a.ogg", "a.opus", "a.flac"])
def test_a_file_of_several_streams_is_refused_and_never_encoded_in_part(name, sound, identity, tmp_path, refused):
    streams = []
    for seconds in (1, 2):
        audio = 0.1 * np.random.default_rng(seconds).standard_normal((seconds * 48_000, 2))
        kind = {"format": "OGG", "subtype": "OPUS"} if name == "a.opus" else {}
        soundfile.write(tmp_path / name, audio, 48_000, **kind)
        streams.append((tmp_path / name).read_bytes())
    (tmp_path / name).write_bytes(b"".join(streams))
    line = refused("encode", tmp_path / name, "-o", tmp_path / "z", "--model", identity)
    assert name in line
    assert "several streams" in line
    assert "ffmpeg" in line
    assert not (tmp_path / "z").exists()


def test_a_flac_file_that_does_not_say_how_long_it_is_is_encoded_to_its_end(sound, identity, tmp_path):
    path = sound("a.flac")
    content = bytearray(Path(path).read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    (tmp_path / "b.flac").write_bytes(content)
    for name in ("a", "b"):
        run("encode", tmp_path / f"{name}.flac", "-o", tmp_path / f"{name}.safetensors", "--model", identity)
    known, unknown = (load_file(tmp_path / f"{name}.safetensors")["latents"] for name in ("a", "b"))
    assert torch.equal(known, unknown)


def test_of_many_files_none_is_worked_on_if_a_header_is_bad(sound, identity, tmp_path, refused, monkeypatch):
    bad_files(tmp_path / "bad", sound)
    monkeypatch.setattr(encode, "load_trained", None)  # not even the model is read
    line = refused("encode", sound("a.wav"), tmp_path / "bad", "-o", tmp_path / "z", "--model", identity)
    assert "cut.wav holds less audio than its header says; 3 more of 6 files cannot be used either" in line
    assert not (tmp_path / "z").exists()


def test_a_file_that_fails_in_the_middle_is_named_and_the_others_are_done(sound, identity, tmp_path, capsys):
    bad_files(tmp_path / "bad", sound)
    inputs = [sound("a.wav"), tmp_path / "bad" / "nan.wav", sound("z.wav")]
    with pytest.raises(SystemExit) as end:
        run("encode", *inputs, "-o", tmp_path / "z", "--model", identity)
    assert end.value.code == 2
    assert files(tmp_path / "z") == ["a.safetensors", "z.safetensors"]
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("error: ")
    assert first.endswith("nan.wav holds NaN or infinite samples")
    assert last == "error: 1 of 3 files failed, the others are done"


def test_ctrl_c_keeps_what_is_finished_and_leaves_no_half_file(sound, identity, tmp_path, monkeypatch, capsys):
    sound("in/a.wav"), sound("in/b.wav")
    write = encode.write_latents

    def stopped(place, *what):
        if place.name.startswith("b"):
            with file_jobs.replacing(place) as partial:
                partial.write_text("half")
                raise KeyboardInterrupt
        write(place, *what)

    monkeypatch.setattr(encode, "write_latents", stopped)
    with pytest.raises(SystemExit) as end:
        run("encode", tmp_path / "in", "-o", tmp_path / "z", "--model", identity)
    assert end.value.code == 130
    assert files(tmp_path / "z") == ["a.safetensors"]
    assert capsys.readouterr().err.startswith("stopped. Files that were finished are kept")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["encode", "a.wav", "-o", "z.wav", "--model", "identity"], "give a file that ends in .safetensors"),
        (["encode", "a.wav", "in", "-o", "z.safetensors", "--model", "identity"], "give a folder"),
        (["encode", "none", "-o", "z", "--model", "identity"], "there is no file or folder none"),
        (["encode", "void", "-o", "z", "--model", "identity"], "void holds no files that end in .aif"),
        (["encode", "a.wav", "-o", "a.wav/z", "--model", "identity"], "a.wav/z cannot be written"),
        (["encode", "a.wav", "-o", "z", "--model", "nothing"], "'nothing' is no file or folder here"),
        (["encode", "a.wav", "-o", "z", "--model", "void"], "void holds no model"),
        (["encode", "a.wav", "-o", "z", "--model", "bad.ckpt"], "bad.ckpt is no checkpoint"),
        (["encode", "a.wav", "-o", "z", "--model", "spectral", "--chunk", "0.02"], "--chunk 0.02 is too short"),
        (["decode", "a.wav", "-o", "b.wav"], "a.wav is no safetensors file, or a damaged one"),
        (["decode", "z.safetensors", "-o", "b.mp3"], "give a file that ends in .wav or .flac"),
        (["decode", "z.safetensors", "-o", "b.wav", "--format", "flac"], "b.wav does not end in .flac"),
        (["decode", "spectral/model.safetensors", "-o", "out"], "'lincae latents 1' is read"),
    ],
)
def test_other_mistakes_end_in_one_line(arguments, words, sound, identity, spectral, tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    sound("a.wav"), sound("in/b.wav")
    (tmp_path / "void").mkdir()
    (tmp_path / "bad.ckpt").write_text("no checkpoint")
    (tmp_path / "z.safetensors").touch()
    before = files(tmp_path)
    assert words in refused(*arguments)
    assert files(tmp_path) == before


@pytest.fixture
def latents(sound, spectral, tmp_path):
    """A file of latents of the spectral model."""
    run("encode", sound("a.wav"), "-o", tmp_path / "a.safetensors", "--model", spectral)
    return tmp_path / "a.safetensors"


def test_latents_of_another_model_are_refused(latents, consistency, tmp_path, refused):
    line = refused("decode", latents, "-o", tmp_path / "out.wav", "--model", consistency)
    assert "a.safetensors holds latents of another model" in line
    assert not (tmp_path / "out.wav").exists()


def test_a_model_that_was_trained_on_is_another(latents, spectral, tmp_path, refused):
    weights = load_file(f"{spectral}/model.safetensors")
    next(iter(weights.values())).flatten()[0] += 1e-3
    save_file(weights, f"{spectral}/model.safetensors")
    assert "another model" in refused("decode", latents, "-o", tmp_path / "out.wav")


def test_a_model_that_has_moved_is_to_be_given(latents, spectral, tmp_path, refused):
    shutil.move(spectral, tmp_path / "elsewhere")
    line = refused("decode", latents, "-o", tmp_path / "out.wav")
    assert "a.safetensors names its model so; give it with --model SOURCE: " in line
    assert spectral in line
    run("decode", latents, "-o", tmp_path / "out.wav", "--model", tmp_path / "elsewhere")
    assert soundfile.info(tmp_path / "out.wav").frames == 20_000


def test_latents_are_divided_by_what_they_were_multiplied_by(latents, spectral, tmp_path):
    run("decode", latents, "-o", tmp_path / "first.wav")
    config = Path(spectral, "config.json")
    assert '"scale_factor": 2.0' in config.read_text()
    config.write_text(config.read_text().replace('"scale_factor": 2.0', '"scale_factor": 7.0'))
    run("decode", latents, "-o", tmp_path / "second.wav")
    assert np.array_equal(soundfile.read(tmp_path / "first.wav")[0], soundfile.read(tmp_path / "second.wav")[0])


def test_latents_say_what_they_are(latents, spectral):
    with safe_open(latents, "pt") as file:
        metadata = file.metadata()
    sha256 = metadata.pop("sha256")
    assert len(sha256) == 64
    assert metadata == {
        "format": "lincae latents 1",
        "seamless": "true",
        "padded_edges": "true",
        "model": spectral,
        "scale_factor": "2.0",
        "sample_rate": "44100",
        "samples": "20000",
        "channels": "2",
        "original_rate": "44100",
        "original_samples": "20000",
    }


def rewritten(path, place, change=lambda latents: latents, **metadata):
    with safe_open(path, "pt") as file:
        kept = {**file.metadata(), **metadata}
        save_file({"latents": change(file.get_tensor("latents")).contiguous()}, place, kept)
    return place


@pytest.mark.parametrize(
    ("change", "metadata", "words"),
    [
        (lambda z: z / 0, {}, "holds latents that are NaN, infinite"),
        (lambda z: z.int(), {}, "or whole numbers"),
        (lambda z: z[0], {}, "should hold latents (R, D, L)"),
        (lambda z: z[:1], {}, "1 rows of latents are not 2 channels of a model that hears 1"),
        (lambda z: z.repeat(2, 1, 1), {}, "of 2 channels, R as many or 1, and has shape [4, "),
        (lambda z: z[..., :5], {}, "these latents are of audio of 1 to "),
        (lambda z: z, {"format": "lincae latents 2"}, "format 'lincae latents 2'"),
        (lambda z: z, {"seamless": "false"}, "holds no latents that this version reads"),
        (lambda z: z, {"scale_factor": "0.0"}, "damaged metadata: scale_factor is 0.0"),
        (lambda z: z, {"samples": "-3"}, "damaged metadata: samples is -3"),
        (lambda z: z, {"scale_factor": "nan"}, "damaged metadata: scale_factor is nan"),
        (lambda z: z, {"original_rate": "fast"}, "damaged metadata: "),
        (lambda z: z, {"sample_rate": "48000"}, "another model"),
    ],
)
def test_damaged_latents_are_refused(change, metadata, words, latents, tmp_path, refused):
    place = rewritten(latents, tmp_path / "bad.safetensors", change, **metadata)
    assert words in refused("decode", place, "-o", tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists()


def test_truncated_latents_are_refused(latents, tmp_path, refused):
    latents.write_bytes(latents.read_bytes()[:-10])
    assert "is no safetensors file, or a damaged one" in refused("decode", latents, "-o", tmp_path / "out.wav")


def test_many_latents_are_checked_before_the_first_is_decoded(latents, tmp_path, refused, monkeypatch):
    (tmp_path / "z").mkdir()
    rewritten(latents, tmp_path / "z" / "a.safetensors")
    rewritten(latents, tmp_path / "z" / "b.safetensors", sha256="0" * 64)
    monkeypatch.setattr(decode, "run_each", None)
    assert "b.safetensors holds latents of another model" in refused("decode", tmp_path / "z", "-o", tmp_path / "out")


def test_wav_keeps_what_is_beyond_full_scale_and_flac_is_scaled_with_a_word(sound, identity, tmp_path, capsys):
    path = sound("loud.wav", level=3.0)
    run("encode", path, "-o", tmp_path / "z", "--model", identity)
    run("decode", tmp_path / "z", "-o", tmp_path / "out")
    original = soundfile.read(path)[0]
    assert np.array_equal(soundfile.read(tmp_path / "out" / "loud.wav")[0], original)
    capsys.readouterr()
    run("decode", tmp_path / "z", "-o", tmp_path / "out", "--format", "flac")
    peak = np.abs(original).max()
    assert f"loud.flac: multiplied by {1 / peak:.3f} ({-20 * np.log10(peak):.1f} dB)" in capsys.readouterr().out
    assert snr(soundfile.read(tmp_path / "out" / "loud.flac")[0], original / peak) > 120
