"""`lincae.Autoencoder` against the authors' object of the same name, on the same published folder and seed."""

import pytest
import torch

import lincae

DB = 80
HOP, WINDOW = 32, 128


@pytest.fixture
def pair(small, small_folder):
    """Theirs and ours, with a scale factor."""
    small.scale_factor = 7.0
    yield small, lincae.Autoencoder.from_pretrained(small_folder, scale_factor=7.0, max_batch_size=2, device="cpu")
    small.max_chunk_size, small.overlap_percentage, small.scale_factor = None, 0.25, 1.0


def snr(found, expected):
    assert found.shape == expected.shape
    return 10 * torch.log10(expected.square().sum() / (expected - found).square().sum()).item()


@torch.no_grad()
def decoded(theirs, ours, latents, length, steps=1):
    torch.manual_seed(1)
    expected = theirs.decode(latents, full_length=length, diffusion_steps=steps)
    torch.manual_seed(1)
    return ours.decode(latents, length, steps=steps), expected


@pytest.mark.parametrize("samples", [WINDOW, 1000, 2000])
@pytest.mark.parametrize("rows", [1, 3])
def test_whole_clips_are_the_same(pair, normal, samples, rows):
    """With three rows in two groups, the second group's noise comes after what the first draws in vain."""
    theirs, ours = pair
    audio = 0.1 * normal(rows, samples)
    with torch.no_grad():
        latents, features = theirs.encode(audio), theirs.encode(audio, extract_features=True)
    assert snr(ours.encode(audio), latents) > DB
    assert snr(7 * ours.features(audio), features) > DB
    assert latents.shape[-1] == ours.latent_length(samples) == theirs.get_latent_size(samples)
    assert ours.audio_length(latents.shape[-1]) == theirs.get_decoded_size(latents.shape[-1])
    for steps in (1, 3):
        found, expected = decoded(theirs, ours, latents, samples, steps)
        length = expected.shape[-1]
        assert snr(found[:, :length], expected) > DB
        assert found.shape[-1] == samples < length + HOP
        assert not found[:, length:].any()


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.4])
@pytest.mark.parametrize("size", [WINDOW + 31 * HOP, WINDOW + 30 * HOP + 17])
@pytest.mark.parametrize("samples", [1121, 2500, 4000])
def test_chunks_are_the_same(pair, normal, overlap, size, samples):
    """Where a chunk's latents decode to its whole length; theirs are laid at another step where they do not."""
    theirs, ours = pair
    for model in pair:
        model.max_chunk_size, model.overlap_percentage = size, overlap
    audio = 0.1 * normal(2, samples)
    with torch.no_grad():
        latents = theirs.encode(audio)
    assert latents.dim() == (4 if samples > size else 3)
    assert snr(ours.encode(audio), latents) > DB
    found, expected = decoded(theirs, ours, latents, samples)
    assert snr(found, expected) > DB


def test_the_defaults_are_the_same(small, small_folder):
    ours = lincae.Autoencoder.from_pretrained(small_folder, device="cpu")
    assert (ours.max_chunk_size, ours.overlap_percentage, ours.max_batch_size) == (None, 0.25, 1)
    assert (ours.scale_factor, small.scale_factor) == (1.0, 1.0)
    assert ours.sample_rate == small.sample_rate


def test_a_released_folder_has_its_scale_factor(small, small_folder):
    for name, release in lincae.published.RELEASES.items():
        if name == "music2latent":
            continue
        folder = small_folder.rename(small_folder.with_name(release.weights.partition("/")[0]))
        assert lincae.Autoencoder.from_pretrained(folder, device="cpu").scale_factor == release.scale_factor
        assert {"m2l": 15, "lin-cae": 33, "lin-cae-2": 40}[name] == release.scale_factor
        folder.rename(small_folder)
