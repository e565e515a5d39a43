"""The authors' own classes (the package linear-cae), small and at reference size, and folders as they publish them."""

import copy
import shutil

import pytest
import torch
import yaml
from linear_cae import Autoencoder

SMALL = {
    "frontend": {"hop_size": 32, "n_fft_factor": 4, "alpha_rescale": 0.5, "beta_rescale": 0.8, "sample_rate": 16_000},
    "generator": {
        "base_channels": 8,
        "layers_list": [3, 3, 3],
        "multipliers_list": [1, 2, 3],
        "attention_list": [0, 1, 1],
        "freq_downsample_list": [0, 1],
        "layers_list_encoder": [1, 1, 1],
        "attention_list_encoder": [0, 1, 1],
        "bottleneck_base_channels": 24,
        "bottleneck_channels": 6,
        "num_bottleneck_layers": 2,
        "hop": 32,
        "cond_channels": 20,
        "dropout_rate": 0.1,
        "sigma_min": 0.01,
        "sigma_max": 40.0,
        "sigma_data": 0.7,
    },
    "diffusion": {
        "start_exp": 1.5,
        "end_exp": 2.5,
        "base_step": 0.2,
        "sigma_min": 0.01,
        "sigma_max": 40.0,
        "rho": 5.0,
        "p_mean": -1.0,
        "p_std": 1.5,
        "sigma_data": 0.7,
        "total_iters": 1000,
    },
}
"""Settings of which none is a default, but for those that our networks have built in."""

REFERENCE = {
    "frontend": {
        "hop_size": 512,
        "n_fft_factor": 4,
        "alpha_rescale": 0.65,
        "beta_rescale": 0.34,
        "sample_rate": 44_100,
    },
    "generator": {"hop": 512},
    "diffusion": {"end_exp": 2.0},
}


def authors_autoencoder(settings):
    """Their class with random weights, in which no branch is silent and no normalisation neutral."""
    torch.manual_seed(0)
    model = Autoencoder(**copy.deepcopy(settings), max_batch_size=2)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.min() == parameter.max():
            width = max(parameter[0].numel(), 25)
            parameter.data += torch.randn(parameter.shape, generator=generator) / width**0.5
    return model.eval()


def publish(model, settings, folder):
    """What the authors publish of a model: after it has encoded, it has its encoder's tensors twice."""
    folder.mkdir()
    stored = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("encoder.")}
    torch.save(stored, folder / "autoencoder_inference_model_last.pth")
    for section, values in settings.items():
        (folder / f"{section}_kwargs_last.yaml").write_text(yaml.safe_dump(values))
    return folder


@pytest.fixture(scope="session")
def small():
    return authors_autoencoder(SMALL)


@pytest.fixture
def small_folder(small, tmp_path):
    return publish(small, SMALL, tmp_path / "small")


@pytest.fixture(scope="module")
def reference():
    return authors_autoencoder(REFERENCE)


@pytest.fixture
def reference_folder(reference, tmp_path):
    """Removed at once: it is large."""
    yield publish(reference, REFERENCE, tmp_path / "0a3afbec_weights")
    shutil.rmtree(tmp_path)


@pytest.fixture(scope="session")
def compare():
    """A function that encodes and decodes with their model and with ours, from the same noise, and gives the SNRs."""

    @torch.no_grad()
    def run(theirs, ours, steps, frames):
        torch.manual_seed(2)
        audio = 0.1 * torch.randn(2, ours.spectrogram.samples(frames) + 5)
        expected = theirs.encode(audio)
        latents = ours.encode(audio)
        torch.manual_seed(3)
        sound = theirs.decode(expected, diffusion_steps=steps)
        torch.manual_seed(3)
        bins, length = ours.spectrogram.bins, ours.time_stride * latents.shape[-1]
        noise = torch.stack([torch.randn(2, 2, bins, length) for _ in range(steps)], dim=1)
        return snr(expected / theirs.scale_factor, latents), snr(sound, ours.decode(latents, noise, steps))

    return run


def snr(expected, found):
    assert found.shape == expected.shape
    return 10 * torch.log10(expected.square().sum() / (expected - found).square().sum()).item()
