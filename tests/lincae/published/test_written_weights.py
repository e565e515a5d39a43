"""Writing in the published layout: whole or not at all, over nothing, and only what that layout can say."""

import math

import pytest
import torch

from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.autoencoders.spectral import SpectralAutoencoder
from lincae.consistency.noise_levels import NoiseLevels
from lincae.networks.sizes import NetworkSizes
from lincae.published import read_published, write_published
from lincae.published.settings import build, describe, description_of, settings_of
from lincae.schedules import StepSchedule
from lincae.stft import Spectrogram

FILES = [
    "autoencoder_inference_model_last.pth",
    "diffusion_kwargs_last.yaml",
    "frontend_kwargs_last.yaml",
    "generator_kwargs_last.yaml",
]
SIZES = NetworkSizes(
    widths=(4, 8), strides=((2, 2),), attention=(False, True), latents=3, bottleneck=8, bottleneck_blocks=1, embedding=8
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return ConsistencyAutoencoder(Spectrogram(hop=32, window=128), SIZES)


@pytest.mark.parametrize("make", [False, True])
def test_a_new_or_an_empty_folder_is_filled(model, tmp_path, make):
    folder = tmp_path / "deep" / "out"
    if make:
        folder.mkdir(parents=True)
    write_published(model, folder)
    assert sorted(file.name for file in folder.iterdir()) == FILES
    assert [file.name for file in folder.parent.iterdir()] == ["out"]
    assert read_published(folder).name == "out"


def test_a_scale_factor_stands_beside_the_weights(model, tmp_path):
    write_published(model, tmp_path / "out", 12.5)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted(
        ["autoencoder_kwargs_last.yaml", *FILES]
    )
    assert read_published(tmp_path / "out").scale_factor == 12.5
    write_published(model, tmp_path / "without")
    assert read_published(tmp_path / "without").scale_factor is None
    for spoilt in ("scale_factor: 0", "scale_factor: .nan", "scale: 3", "[", ""):
        file = tmp_path / "out" / "autoencoder_kwargs_last.yaml"
        file.write_text(spoilt)
        with pytest.raises(ValueError, match=str(file)):
            read_published(tmp_path / "out")


def test_nothing_is_overwritten(model, tmp_path):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("mine")
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    for place in (file, folder):
        with pytest.raises(FileExistsError, match=f"{place} is already there and nothing is overwritten"):
            write_published(model, place)
    assert file.read_text() == (folder / "notes.txt").read_text() == "mine"
    assert len(list(folder.iterdir())) == 1


def test_a_write_that_fails_leaves_nothing(model, tmp_path, monkeypatch):
    def full(stored, file):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="no space left"):
        write_published(model, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_write_left_is_no_obstacle(model, tmp_path):
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "half.pth").touch()
    write_published(model, tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == FILES
    assert not (tmp_path / ".out.partial").exists()


def test_weights_and_unused_tensors_are_written(model, tmp_path):
    write_published(model, tmp_path / "out")
    stored = torch.load(tmp_path / "out" / FILES[0], weights_only=True)
    assert stored["generator.conv_inp.weight"].equal(model.denoiser.network.conv_in.weight)
    assert stored["frontend.window"].equal(torch.hann_window(128))
    for name, shape in (("weight", (8, 8)), ("bias", (8,))):
        assert stored[f"generator.decoder.bottleneck_layers.0.proj_emb.{name}"].equal(torch.zeros(shape))
    assert not any(tensor.requires_grad for tensor in stored.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fold": 2}, "fold is 2: the published classes can only say 1"),
        ({"window": 256}, "window is 256: the published classes can only say 128"),
        ({"strides": ((2, 1),)}, r"strides is \(\(2, 1\),\): the published classes can only say \(\(2, 2\),\)"),
        ({"heads": 2}, "heads is 2: the published classes can only say 4"),
    ],
)
def test_what_the_published_classes_cannot_say_is_refused(model, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        write_published(build({**describe(model), **changes}), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_another_kind_of_autoencoder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a SpectralAutoencoder has no published form"):
        write_published(SpectralAutoencoder(Spectrogram(hop=32, window=128), SIZES), tmp_path / "out")


def test_descriptions_survive_the_published_settings():
    model = ConsistencyAutoencoder(
        Spectrogram(hop=16, window=64, alpha=0.7, beta=0.2),
        NetworkSizes(
            widths=(12, 8, 20),
            strides=((4, 1), (2, 2)),
            attention=(False, False, False),
            heads=3,
            latents=5,
            bottleneck=16,
            bottleneck_blocks=2,
            unet_blocks=1,
            embedding=10,
        ),
        NoiseLevels(sigma_min=0.1, sigma_max=math.pi, rho=2.0, mean=0.5, std=0.25),
        StepSchedule(base=0.3, start=0.5, end=4.0),
        sigma_data=0.8,
        sample_rate=8_000,
    )
    description = describe(model)
    assert description_of(settings_of(description)) == description
    assert describe(build(description)) == description
