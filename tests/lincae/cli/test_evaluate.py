"""`lincae evaluate` on models whose figures theory knows."""

import json
import math

import numpy as np
import pytest
import soundfile
import torch
from huggingface_hub import constants

from datamodules.rejection import BadAudioError
from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.cli import evaluate, measuring
from lincae.cli.main import main
from lincae.cli.models import load_model
from lincae.networks.sizes import NetworkSizes
from lincae.published import write_published
from lincae.stft import Spectrogram

RATE, STEMS = 8_000, ("bass", "drums", "vocals")
HEADLINE = [0.25, 0.5, 0.75, 1.1]


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    """Three tracks of three stems of noise, of two excerpts each; in the last one the drums are silent."""
    root = tmp_path_factory.mktemp("tracks")
    rng = np.random.default_rng(0)
    for track in range(3):
        (root / f"track {track}").mkdir()
        for stem in STEMS:
            audio = 0.1 * rng.standard_normal(2 * RATE + 100)
            audio *= not (track == 2 and stem == "drums")
            soundfile.write(root / f"track {track}" / f"{stem}.wav", audio, RATE, subtype="FLOAT")
        soundfile.write(root / f"track {track}" / "mixture.wav", audio, RATE)
    return root


def run(tracks, out, *models, protocol="stems", more=()):
    settings = ["--data", str(tracks), "--protocol", protocol, "-o", str(out), "--seconds", "1"]
    main(["evaluate", *models, *settings, "--sample-rate", str(RATE), "--device", "cpu", "--batch-size", "2", *more])
    return json.loads((out / "results.json").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def results(tracks, folder):
    return run(tracks, folder, "identity", "orthogonal", "saturating", "loudness-normalising")


def test_an_identity_is_exact_in_everything(results):
    figures = results["models"]["identity"]
    for name, value in figures.items():
        if value is None or "mix_rate" in name or "shuffled" in name or "inactive" in name or "dbfs" in name:
            continue
        if "snr" in name or "si_sdr" in name:
            assert value > 100, name
        elif not name.startswith(("kad", "fad")):
            assert abs(value) < 1e-5, name
    assert figures["mixing/mix_rate"] is None  # a rate of perfect reconstructions has no meaning


def test_an_orthogonal_projection_is_linear_though_it_loses_most(results):
    figures = results["models"]["orthogonal"]
    for name in ("decoder/homogeneity_mss", "decoder/additivity_self_mss", "encoder/additivity_error"):
        assert figures[name] < 1e-4
    share = 64 / 4096
    assert figures["reconstruction/snr"] == pytest.approx(-10 * math.log10(1 - share), abs=0.05)
    assert figures["decoder/additivity_mss"] == pytest.approx(figures["reconstruction/mss"], rel=1e-3)
    assert figures["removal/tax"] == pytest.approx(0, abs=1e-3)


def test_a_folder_of_diffusers_is_heard_in_stereo_and_as_stable_audio_in_mono(tracks, tmp_path):
    from diffusers import AutoencoderOobleck

    vae = tmp_path / "vae"
    AutoencoderOobleck(6, [2, 4], [1, 2], 4, 3, audio_channels=2, sampling_rate=RATE).save_pretrained(vae)
    mono = f"mono=stable-audio-vae:{vae}"
    figures = run(tracks, tmp_path / "out", str(vae), mono, more=["--excerpts", "1"])["models"]
    for name in ("encoder/homogeneity_error", "encoder/additivity_error"):  # of mono files both hear the same
        assert figures["vae"][name] == pytest.approx(figures["mono"][name], rel=1e-5)
        assert figures["vae"][name] > 0
    assert figures["vae"]["reconstruction/snr"] != figures["mono"]["reconstruction/snr"]


def test_what_a_clip_is_compared_and_mixed_with_does_not_depend_on_its_batch(results, tracks, tmp_path):
    """Six excerpts: three batches of two, or one of five and one of one."""
    figures = run(tracks, tmp_path, "orthogonal", more=["--batch-size", "5"])
    for name in ("shuffled/mss", "shuffled/snr", "mixing/truth_si_sdr", "mixing/mix_rate/r0.30"):
        assert figures["counts"]["orthogonal"][name] == 6
        assert figures["models"]["orthogonal"][name] == pytest.approx(results["models"]["orthogonal"][name], rel=1e-5)


def test_the_other_clip_is_the_one_before_that_can_be_read(monkeypatch):
    def read(excerpt, reader):
        if excerpt in "bd":
            raise BadAudioError("unreadable")
        return excerpt.upper()

    monkeypatch.setattr(measuring, "read", read)
    others = [measuring.other_than(number, {1: "heard"}, "abcde", None) for number in range(5)]
    assert others == ["E", "A", "heard", "C", "C"]
    assert measuring.other_than(0, {}, "abd", None) is None


def test_a_saturating_decoder_is_not_homogeneous_while_its_encoder_is(results):
    figures = results["models"]["saturating"]
    assert figures["encoder/homogeneity_error"] == 0
    assert figures["decoder/homogeneity_mss"] > 1e-3
    assert figures["decoder/homogeneity_mss"] > 1e3 * results["models"]["orthogonal"]["decoder/homogeneity_mss"]


def test_a_codec_that_normalises_loudness_is_deaf_to_gain(results):
    figures = results["models"]["loudness-normalising"]
    deaf = np.mean([abs(1 - a) / a for a in HEADLINE])
    assert figures["encoder/homogeneity_error"] == pytest.approx(deaf, rel=1e-4)
    spectral = np.mean([abs(1 / a - 1) + abs(math.log(a)) for a in HEADLINE])
    assert figures["decoder/homogeneity_mss"] == pytest.approx(spectral, rel=1e-3)
    assert figures["encoder/homogeneity_error/a-1.00"] == pytest.approx(0, abs=1e-5)


def test_excerpts_silence_and_intervals_are_told(results):
    assert results["excerpts"]["identity"] == [[f"track {t}", RATE * e] for t in range(3) for e in range(2)]
    figures, counts = results["models"]["orthogonal"], results["counts"]["orthogonal"]
    assert figures["separation/drums_inactive"] == 2
    assert counts["separation/drums_mss"] == 4
    assert counts["separation/bass_mss"] == 6
    low, high = results["intervals"]["orthogonal"]["reconstruction/mss"]
    assert low <= figures["reconstruction/mss"] <= high
    for model, clips in results["clips"].items():
        for name, values in clips.items():
            found = [value for value in values if value is not None]
            if found and "separation" not in name:
                assert results["models"][model][name] == pytest.approx(np.mean(found), rel=1e-9, abs=1e-12), name
    protocol = results["protocol"]
    assert protocol["gains"] == HEADLINE
    assert {-1.0, -0.5, 0.25, 3.0} < set(protocol["curve"])
    assert protocol["versions"]["torch"] == torch.__version__


def test_every_figure_has_an_interval_a_number_of_excerpts_and_a_value_for_each(results):
    for model, figures in results["models"].items():
        numbers = {name for name in figures if "_inactive" in name}
        assert results["intervals"][model].keys() == results["counts"][model].keys() == figures.keys() - numbers
        assert figures.keys() - numbers - results["clips"][model].keys() == {"kad_logmel", "fad_logmel"}
    intervals, figures = results["intervals"]["orthogonal"], results["models"]["orthogonal"]
    without = {name for name, bounds in intervals.items() if None in bounds}
    few = {name for name in figures if "dbfs" in name}  # silence is in a single track
    assert without == {"fad_logmel"} | few
    for name in ("separation/mss", "separation_sum/si_sdr", "separation/mss_all_centered", "kad_logmel"):
        assert intervals[name][0] < figures[name] < intervals[name][1]
    assert results["counts"]["orthogonal"]["separation/mss"] == 6


def test_the_number_of_sources_is_a_curve_that_ends_in_the_headline(results):
    figures = results["models"]["loudness-normalising"]
    errors = [figures[f"encoder/additivity_error/k{k}"] for k in (2, 3)]
    assert errors[1] == figures["encoder/additivity_error"]
    assert errors[0] < errors[1]  # about sqrt(k) - 1 for sources of equal level
    assert errors[0] == pytest.approx(math.sqrt(2) - 1, abs=0.2)


def test_a_report_and_sounds_lie_beside_the_figures(results, folder, tracks):
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert all(model in page for model in results["models"])
    sounds = json.loads((folder / "sounds.json").read_text())
    assert sounds["excerpt"]["name"] == "track 0"
    (original,) = [sound for sound in sounds["original"] if sound["title"] == "original"]
    heard, rate = soundfile.read(folder / original["file"])
    mix = sum(soundfile.read(tracks / "track 0" / f"{stem}.wav")[0][:RATE] for stem in STEMS)
    assert rate == RATE
    np.testing.assert_allclose(heard / original.get("gain", 1), mix, atol=1e-4)


def test_several_models_at_a_time_give_the_same_results(tracks, tmp_path):
    alone, together = tmp_path / "alone", tmp_path / "together"
    run(tracks, alone, "orthogonal", "saturating", more=["--processes", "1"])
    run(tracks, together, "orthogonal", "saturating", more=["--processes", "2"])
    assert (together / "results.json").read_bytes() == (alone / "results.json").read_bytes()


@pytest.mark.slow
def test_an_error_in_one_of_several_processes_is_told(tracks, tmp_path):
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "saturating.jsonl").write_text("{}\n")
    with pytest.raises(SystemExit, match=r"saturating\.jsonl is of an evaluation with other"):
        run(tracks, tmp_path, "orthogonal", "saturating", more=["--processes", "2"])


def test_latents_of_the_first_excerpt_lie_beside_the_figures_and_are_on_the_page(results, folder):
    latents = json.loads((folder / "latents.json").read_text())
    assert latents["excerpt"] == {"name": "track 0", "start": 0}
    assert {latents["u"], latents["v"]} < set(STEMS)
    assert set(latents["planes"]) == set(results["models"])
    for model in ("identity", "orthogonal", "saturating"):
        plane = latents["planes"][model]
        assert plane["encoded"] == pytest.approx(np.array(plane["arithmetic"]), abs=2e-6)
        assert (plane["share"], plane["difference_share"]) == (1, None)
    deaf = dict(zip(map(tuple, latents["weights"]), latents["planes"]["loudness-normalising"]["encoded"], strict=True))
    assert deaf[0.25, 0] == deaf[1, 0] == deaf[2, 0] == [1, 0]
    assert latents["maps"] == {}
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert all(f"Latents of {model} in two dimensions" in page for model in results["models"])


def test_without_stems_latents_of_two_clips_are_summed_and_maps_are_drawn_if_asked_for(tmp_path):
    rng = np.random.default_rng(2)
    (tmp_path / "clips").mkdir()
    for name, level in (("a", 0.1), ("b", 0.05), ("c", 0.2)):
        soundfile.write(tmp_path / "clips" / f"{name}.wav", level * rng.standard_normal(2 * RATE), RATE)
    run(tmp_path / "clips", tmp_path / "out", "identity", protocol="clips")
    latents = json.loads((tmp_path / "out" / "latents.json").read_text())
    assert (latents["u"], latents["v"]) == ("clip", "b.wav, from 0.0 s")
    assert latents["maps"] == {}
    figures = (tmp_path / "out" / "results.json").read_bytes()
    run(tmp_path / "clips", tmp_path / "out", "identity", protocol="clips", more=["--maps", "tsne"])
    mapped = json.loads((tmp_path / "out" / "latents.json").read_text())
    assert {title: len(of) for title, of in mapped["maps"]["tsne"]["identity"]["sources"].items()} == {
        "clip": 2,
        "b.wav, from 0.0 s": 2,
    }
    assert mapped | {"maps": {}} == latents
    assert (tmp_path / "out" / "results.json").read_bytes() == figures


@pytest.mark.parametrize(("seconds", "other"), [(2, "a.wav, from 1.0 s"), (1, None)])
def test_a_clip_by_itself_is_summed_with_its_next_excerpt_if_there_is_one(tmp_path, seconds, other):
    (tmp_path / "clips").mkdir()
    noise = 0.1 * np.random.default_rng(1).standard_normal(seconds * RATE)
    noise[RATE:] *= 0.5
    soundfile.write(tmp_path / "clips" / "a.wav", noise, RATE)
    run(tmp_path / "clips", tmp_path / "out", "identity", protocol="clips")
    latents = json.loads((tmp_path / "out" / "latents.json").read_text())
    assert (latents["u"], latents["v"]) == ("clip", other)


def test_a_map_whose_package_is_missing_is_refused_before_anything_is_measured(tracks, tmp_path, monkeypatch):
    monkeypatch.setattr("lincae.report.neighbours.find_spec", lambda module: None)
    with pytest.raises(SystemExit, match="error: UMAP needs umap-learn: pip install umap-learn"):
        run(tracks, tmp_path / "out", "identity", more=["--maps", "umap"])
    assert not (tmp_path / "out").exists()


class StopError(Exception):
    pass


def test_an_evaluation_that_was_stopped_ends_as_one_that_was_not(tracks, tmp_path, monkeypatch, results):
    calls = []
    measure = evaluate.measure_batch

    def counted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise StopError
        measure(*arguments)

    monkeypatch.setattr(evaluate, "measure_batch", counted)
    with pytest.raises(StopError):
        run(tracks, tmp_path, "orthogonal")
    journal = tmp_path / "journal" / "orthogonal.jsonl"
    with journal.open("a") as stream:
        stream.write("[[[0, [1.0")  # half a line
    found = run(tracks, tmp_path, "orthogonal")
    assert len(calls) == 4  # two batches, the one that failed, and that one again
    for key in ("models", "intervals", "clips", "counts"):
        assert found[key]["orthogonal"] == results[key]["orthogonal"]
    files = ("results.json", "latents.json", "report/index.html")
    before = [(tmp_path / file).read_bytes() for file in files]
    run(tracks, tmp_path, "orthogonal")
    assert len(calls) == 4
    assert [(tmp_path / file).read_bytes() for file in files] == before


def test_a_journal_of_another_evaluation_is_refused(tracks, tmp_path):
    run(tracks, tmp_path, "identity")
    (tmp_path / "results.json").unlink()
    with pytest.raises(SystemExit, match=r"identity\.jsonl is of an evaluation with other model.*: give another -o"):
        run(tracks, tmp_path, "identity=orthogonal")


def test_clips_that_cannot_be_read_are_named_and_left_out(tmp_path):
    noise = 0.1 * np.random.default_rng(1).standard_normal(2 * RATE)
    (tmp_path / "clips").mkdir()
    soundfile.write(tmp_path / "clips" / "good.wav", noise, RATE)
    noise[RATE] = np.nan
    soundfile.write(tmp_path / "clips" / "half.wav", noise, RATE, subtype="FLOAT")
    found = run(tmp_path / "clips", tmp_path / "out", "identity", protocol="clips")
    assert found["counts"]["identity"]["reconstruction/mss"] == 3
    assert found["unreadable"]["identity"] == [f"half.wav at sample {RATE}: not_finite"]
    assert "separation/mss" not in found["models"]["identity"]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("nonsense", "names no model"),
        ("no.such.Class", "names no model: No module named 'no'"),
        ("lin-cae", r"weights of the authors' Lin-CAE are not here.*lin-cae=FOLDER.*lincae fit --config lincae.yaml"),
        ("lin-cae", r"hf download BernardoTorres/linear_consistency_autoencoders --include '0a3afbec_weights/\*'"),
        ("lin-cae-2", r"'2f4c6d21_weights/\*'.*lincae-2.yaml"),
        ("m2l", r"'1511f18a_weights/\*'.*music2latent.yaml"),
        ("without-additivity", "lincae fit --config without-additivity.yaml"),
        ("without-homogeneity", "lincae fit --config without-homogeneity.yaml"),
        ("music2latent", r"SonyCSLParis/music2latent --include 'music2latent\.pt'.*music2latent.yaml"),
        ("stable-audio-vae", "stable-audio-vae:FOLDER"),
        (".", r"holds no run: there is no .*last.ckpt, and no published weights either"),
        ("lin-cae=missing.pth", r"No such file.*missing\.pth"),
    ],
)
def test_a_model_that_is_not_there_says_what_to_do(tracks, tmp_path, empty_cache, model, message):
    with pytest.raises(SystemExit, match=message):
        run(tracks, tmp_path, model)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """The cache of downloads from Hugging Face."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    return cache


@pytest.fixture
def published(tmp_path):
    """A small model in the published layout, in a folder that is named as that of Lin-CAE."""
    sizes = NetworkSizes(
        widths=(4, 8), strides=((2, 2),), attention=(False, True), latents=3, bottleneck=8, embedding=8, unet_blocks=1
    )
    folder = tmp_path / "0a3afbec_weights"
    write_published(ConsistencyAutoencoder(Spectrogram(hop=64, window=256), sizes, sample_rate=RATE), folder)
    return folder


def test_published_weights_are_models(tmp_path, published):
    file = published / "autoencoder_inference_model_last.pth"
    models = [load_model(source, 44_100) for source in (str(published), str(tmp_path), f"mine={file}")]
    assert [model.name for model in models] == ["lin-cae", "lin-cae", "mine"]
    assert len({model.sha256 for model in models}) == 1
    assert {model.model.sample_rate for model in models} == {RATE}


def test_a_published_name_is_found_among_the_downloads(empty_cache, published):
    with pytest.raises(ValueError, match="are not here"):
        load_model("lin-cae", RATE)
    repository = empty_cache / "models--BernardoTorres--linear_consistency_autoencoders"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123abcd")
    (repository / "snapshots" / "0123abcd").mkdir(parents=True)
    found = load_model(str(published), RATE)
    published.rename(repository / "snapshots" / "0123abcd" / published.name)
    assert load_model("lin-cae", RATE)._replace(model=None) == found._replace(model=None)
    assert load_model("mine=lin-cae", RATE).name == "mine"
    with pytest.raises(ValueError, match="lin-cae-2: the weights"):
        load_model("lin-cae-2", RATE)


def test_a_name_is_no_path(tracks, tmp_path):
    with pytest.raises(SystemExit, match=r"'a/b=identity' names no model.*NAME=MODEL"):
        run(tracks, tmp_path, "a/b=identity")


def test_models_of_one_name_need_others(tracks, tmp_path):
    with pytest.raises(SystemExit, match=r"same name.*NAME=MODEL"):
        run(tracks, tmp_path, "identity", "identity=orthogonal")


def test_a_class_and_a_checkpoint_are_models(fit, music, tracks, tmp_path):
    fit(
        f"--data.train={music}",
        "--trainer.max_steps=2",
        "--trainer.default_root_dir=tiny",
        "--trainer.logger.save_dir=t",
    )
    models = ["mine=lincae.autoencoders.controls.Identity", str(tmp_path / "tiny")]
    found = run(tracks, tmp_path / "out", *models, more=["--excerpts", "1"])
    assert set(found["models"]) == {"mine", "tiny"}
    assert len(found["sha256"]["tiny"]) == 64
    assert found["sample_rate"] == {"mine": 44_100, "tiny": 44_100}
    assert found["models"]["tiny"]["encoder/additivity_error"] > 0
    assert found["excerpts"]["tiny"] == [["track 0", 0], ["track 1", 0], ["track 2", 0]]
