"""`lincae mix` and `lincae separate`, as one would use them."""

import re

import numpy as np
import pytest
import soundfile
import torch

from lincae import Autoencoder
from lincae.cli.main import main
from lincae.cli.sums import compare
from lincae.metrics import leakage_dbfs, multi_scale_spectral, signal_to_noise


def run(*arguments):
    main([str(argument) for argument in arguments])


def read(path):
    return torch.from_numpy(soundfile.read(path, dtype="float32", always_2d=True)[0].T.copy())


def shown(out):
    """The figures of both rows."""
    snr = [float(value) for value in re.findall(r"SNR (-?[\d.]+) dB", out)]
    mss = [float(value) for value in re.findall(r"MSS ([\d.]+)", out)]
    return snr, mss


@pytest.mark.parametrize("model", ["spectral", "consistency"])
def test_a_mix_and_its_figures_are_those_of_the_library(model, sound, tmp_path, capsys, request):
    source = request.getfixturevalue(model)
    paths = [sound("a.wav", seed=1), sound("b.wav", seed=2)]
    run("mix", *paths, "--gains", "0.5", "-1.0", "-o", tmp_path / "mix.wav", "--model", source, "--seed", 3)

    library = Autoencoder.from_pretrained(source, seamless=True, padded_edges=True, device="cpu")
    library.max_chunk_size = 441_000

    def decoded(latents):
        generators = [torch.Generator().manual_seed(3) for _ in latents]
        pairs = zip(latents, generators, strict=True)
        return torch.cat([library.decode(z[None], 20_000, generator=generator) for z, generator in pairs])

    a, b = map(read, paths)
    target = 0.5 * a - b
    found = read(tmp_path / "mix.wav")
    expected = decoded(0.5 * library.encode(a) - library.encode(b))
    assert signal_to_noise(found, expected).min() > 90
    usual = decoded(library.encode(target))
    out = capsys.readouterr().out
    assert out.startswith(f"{tmp_path}/mix.wav, against +0.5 a.wav -1 b.wav in audio:")
    snr, mss = shown(out)
    assert snr == pytest.approx([float(signal_to_noise(each, target).mean()) for each in (found, usual)], abs=0.006)
    assert mss == pytest.approx([float(multi_scale_spectral(each, target).mean()) for each in (found, usual)], abs=1e-4)


def test_a_stereo_model_mixes_both_channels_at_once(stereo, sound, tmp_path):
    paths = [sound("a.wav", seed=1), sound("b.wav", seed=2)]
    run("mix", *paths, "--gains", "0.5", "-1.0", "-o", tmp_path / "mix.wav", "--model", stereo)
    library = Autoencoder.from_pretrained(stereo, seamless=True, padded_edges=True, device="cpu")
    a, b = (library.encode(read(path)) for path in paths)
    assert signal_to_noise(read(tmp_path / "mix.wav"), library.decode(0.5 * a - b, 20_000)[0]).min() > 90


def test_a_linear_model_mixes_exactly_and_the_file_is_the_sum(sound, identity, tmp_path, capsys):
    paths = [sound(f"{seed}.flac", 30_000, 48_000, seed=seed) for seed in range(3)]
    run("mix", *paths, "-o", tmp_path / "mix.wav", "--model", identity)
    assert min(shown(capsys.readouterr().out)[0]) > 90
    mix, rate = soundfile.read(tmp_path / "mix.wav")
    assert (mix.shape, rate) == ((30_000, 2), 48_000)
    expected = sum(soundfile.read(path)[0] for path in paths)
    assert np.abs(mix - expected).max() < 1e-3


def test_separation_is_the_mix_minus_the_parts(sound, identity, tmp_path, capsys):
    parts = [soundfile.read(sound(f"{seed}.wav", seed=seed))[0] for seed in range(3)]
    soundfile.write(tmp_path / "mix.wav", sum(parts), 44_100, subtype="FLOAT")
    minus = [tmp_path / "0.wav", tmp_path / "2.wav"]
    run("separate", tmp_path / "mix.wav", "--minus", *minus, "-o", tmp_path / "rest.wav", "--model", identity)
    assert np.abs(soundfile.read(tmp_path / "rest.wav")[0] - parts[1]).max() < 1e-6
    out = capsys.readouterr().out
    assert "against +1 mix.wav -1 0.wav -1 2.wav in audio:" in out
    assert min(shown(out)[0]) > 100


def test_where_the_sum_is_silent_the_level_of_the_decode_is_told(sound, spectral, tmp_path, capsys):
    path = sound("a.wav")
    run("separate", path, "--minus", path, "-o", tmp_path / "rest.wav", "--model", spectral)
    level = float(leakage_dbfs(read(tmp_path / "rest.wav")).mean())
    out = capsys.readouterr().out
    assert re.search(rf"latents, decoded +{level:.1f} dBFS where it is silent", out)
    assert "SNR" not in out


def test_figures_are_means_over_ten_seconds_and_channels(normal):
    target = 0.1 * normal(2, 2100)
    target[0, 1050:] = 0
    estimate = target + 0.01 * normal(2, 2100, seed=1)
    halves = [(estimate[..., part], target[..., part]) for part in (slice(0, 1050), slice(1050, 2100))]
    rows = [(p[c : c + 1], t[c : c + 1]) for p, t in halves for c in (0, 1)]
    active = [rows[0], rows[1], rows[3]]
    found = compare(estimate, target, 200)
    assert found.snr == pytest.approx(float(torch.cat([signal_to_noise(*row) for row in active]).mean()))
    assert found.mss == pytest.approx(float(torch.cat([multi_scale_spectral(*row) for row in active]).mean()), rel=1e-5)
    assert found.leakage == pytest.approx(float(leakage_dbfs(rows[2][0])))


def test_a_sound_too_short_to_compare_is_mixed_all_the_same(sound, identity, tmp_path, capsys):
    run("mix", sound("a.wav", 1000), "--gains", "2", "-o", tmp_path / "mix.wav", "--model", identity)
    assert np.array_equal(read(tmp_path / "mix.wav"), 2 * read(tmp_path / "a.wav"))
    assert "fewer than 1025 samples cannot be compared" in capsys.readouterr().out


def test_flac_is_scaled_with_a_word(sound, identity, tmp_path, capsys):
    path = sound("a.wav", level=0.9)
    run("mix", path, path, "-o", tmp_path / "mix.flac", "--model", identity)
    mix = read(tmp_path / "mix.flac")
    assert mix.abs().max() == pytest.approx(1, abs=1e-6)
    assert re.match(rf"{tmp_path}/mix.flac: multiplied by 0\.55\d \(-5\.\d dB\), since flac", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mix", "a.wav", "short.wav"], "a.wav has 20,000 samples at 44100 Hz in 2 channels, short.wav has 19,999 "),
        (["mix", "a.wav", "rate.wav"], "rate.wav has 20,000 samples at 48000 Hz"),
        (["mix", "a.wav", "mono.wav"], "a sum needs files that agree in all three"),
        (["mix", "a.wav", "none.wav"], "there is no file none.wav"),
        (["mix", "a.wav", "text.wav"], "text.wav is no audio file that can be read"),
        (["mix", "a.wav", "nan.wav"], "nan.wav holds NaN or infinite samples"),
        (["mix", "a.wav", "a.wav", "--gains", "1"], "--gains are 1 for 2 files: give one for each"),
        (["mix", "a.wav", "-o", "there.wav"], "there.wav is already there"),
        (["mix", "a.wav", "-o", "out.ogg"], "out.ogg cannot be written: give a file that ends in .wav or .flac"),
        (["mix", "a.wav", "-o", "out"], "out cannot be written"),
        (["separate", "a.wav", "--minus", "short.wav"], "a sum needs files that agree in all three"),
    ],
)
def test_mistakes_end_in_one_line_and_nothing_is_written(
    arguments, words, sound, identity, tmp_path, monkeypatch, refused
):
    monkeypatch.chdir(tmp_path)
    sound("a.wav"), sound("short.wav", 19_999), sound("rate.wav", rate=48_000), sound("mono.wav", channels=1)
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "there.wav").write_text("mine")
    soundfile.write("nan.wav", np.full((20_000, 2), np.nan), 44_100, subtype="FLOAT")
    before = sorted(tmp_path.iterdir())
    output = [] if "-o" in arguments else ["-o", "out.wav"]
    assert words in refused(*arguments, *output, "--model", identity)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there.wav").read_text() == "mine"


def test_gains_are_numbers(identity, tmp_path, capsys):
    for gain in ("loud", "inf", "nan"):
        with pytest.raises(SystemExit) as end:
            run("mix", "a.wav", "--gains", gain, "-o", tmp_path / "out.wav", "--model", identity)
        assert end.value.code == 2
        assert f"'{gain}' is not a finite number" in capsys.readouterr().err
