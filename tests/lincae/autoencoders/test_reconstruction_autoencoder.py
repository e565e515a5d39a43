"""Encoders and decoders of others behind the protocol: losses by hand, channels, the bottleneck, and training."""

import json
import math

import pytest
import torch
from torch import nn

from lincae import Autoencoder
from lincae.autoencoders.bottleneck import VariationalBottleneck
from lincae.autoencoders.losses import MelSTFT, MultiResolutionSTFT, RelativeL2
from lincae.autoencoders.oobleck import OobleckAutoencoder
from lincae.autoencoders.reconstruction import ReconstructionAutoencoder
from lincae.autoencoders.waveform import WaveformAutoencoder
from lincae.evaluation import DecodedClips
from lincae.metrics import multi_scale_spectral, si_sdr, signal_to_noise
from lincae.pretrained import load_pretrained
from lincae.settings import build, settings_of
from lincae.streams import Draws

DRAWS = Draws(0, [0])
NOW = torch.zeros(())


def wave(**settings):
    torch.manual_seed(0)
    return WaveformAutoencoder(**{"widths": [4, 8, 8], "strides": [2, 4], "latents": 3, **settings})


# -------------------------------------------------------------------------------------------------------------- losses


def test_relative_l2_is_relative_and_finite_for_silence(normal):
    target = normal(3, 2, 400)
    expected = torch.tensor([0.0, 0.5, 1.0])
    estimate = target * (1 - expected).view(3, 1, 1)
    torch.testing.assert_close(RelativeL2()(estimate, target), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        RelativeL2(weight=3.0)(1e-1 * estimate, 1e-1 * target), 3 * expected, atol=1e-3, rtol=1e-3
    )
    silence = torch.zeros(1, 2, 400, requires_grad=True)
    RelativeL2()(silence, torch.zeros(1, 2, 400)).sum().backward()
    assert silence.grad.isfinite().all()


@pytest.mark.parametrize("make", [MultiResolutionSTFT, lambda: MelSTFT(16_000)], ids=["stft", "mel"])
def test_losses_of_auraloss_are_of_each_row_by_itself(make, normal):
    loss, estimate, target = make(), normal(3, 2, 2000), normal(3, 2, 2000, seed=1)
    together = loss(estimate, target)
    assert together.shape == (3,)
    torch.testing.assert_close(together[1:2], loss(estimate[1:2], target[1:2]))
    torch.testing.assert_close(loss(target, target), torch.zeros(3))
    assert loss(estimate, torch.zeros_like(target)).isfinite().all()


def test_a_gain_on_a_loud_signal_costs_what_the_formula_says(normal):
    target = normal(2, 1, 4000)
    expected = torch.full((2,), 1 + math.log(2))  # |g - 1| + |ln g|, see `multi_scale_spectral`
    torch.testing.assert_close(MultiResolutionSTFT()(2 * target, target), expected, rtol=1e-3, atol=0)
    torch.testing.assert_close(MelSTFT(16_000)(2 * target, target), expected, rtol=1e-3, atol=0)


# ------------------------------------------------------------------------------------------------------------ protocol


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("make", [wave, lambda **s: OobleckAutoencoder(6, [2, 4], [1, 2], 4, 3, **s)])
def test_lengths_and_channels_are_kept(make, channels, normal):
    model = make(audio_channels=channels)
    audio = normal(3, 83) if channels == 1 else normal(3, channels, 83)
    latents = model.encode(audio)
    assert latents.shape == (3, 3, 10)
    assert model.decode(latents).shape == (*audio.shape[:-1], 80)
    assert model.framing.latents(83) == 10
    loss = model.training_loss(latents, audio[..., :80], NOW, DRAWS)
    assert loss.shape == (3,)
    with pytest.raises(ValueError, match="use crops of a multiple of the stride, 8 samples"):
        model.training_loss(latents, audio, NOW, DRAWS)


def test_a_model_of_two_channels_is_judged_on_both(normal):
    """A decoder that loses the right channel: figures are those of the channels one after the other."""

    class Left(nn.Module):
        def forward(self, latents):
            return torch.stack([latents[:, :1], 0 * latents[:, :1]], dim=1).flatten(1, 2)

    model = ReconstructionAutoencoder(nn.Identity(), Left(), audio_channels=2, margin=10)
    audio = normal(2, 2, 4020)
    clips = DecodedClips.of(model, audio, torch.arange(2))
    kept, lost = audio[:, 0, 10:-10], audio[:, 1, 10:-10]
    assert torch.equal(clips.audio, torch.cat([kept, lost], dim=1))
    assert torch.equal(clips.decoded, torch.cat([kept, 0 * lost], dim=1))
    snr = 10 * (((kept**2).sum(1) + (lost**2).sum(1)) / (lost**2).sum(1)).log10()
    torch.testing.assert_close(signal_to_noise(clips.decoded, clips.audio), snr.double())
    assert si_sdr(clips.decoded, clips.audio).isfinite().all()
    assert multi_scale_spectral(clips.decoded, clips.audio).isfinite().all()
    assert torch.equal(clips.playable(clips.audio[0]), audio[0, :, 10:-10].mT)


@pytest.mark.parametrize("channels", [1, 2])
def test_it_encodes_and_decodes_for_users_in_chunks(channels, normal):
    model = Autoencoder(wave(audio_channels=channels), seamless=True, max_chunk_size=160)
    audio = normal(2, 640) if channels == 1 else normal(2, channels, 640)
    latents = model.encode(audio)
    assert latents.shape == (2, 3, 80)
    assert model.decode(latents).shape == audio.shape
    assert model.encode(audio[0]).shape == (1, 3, 80)
    with pytest.raises(ValueError, match="audio must be"):
        model.encode(torch.zeros(3, 3, 640))


# ---------------------------------------------------------------------------------------------------------- bottleneck


def test_the_charge_is_the_divergence_of_two_gaussians(normal):
    bottleneck = VariationalBottleneck(3, weight=2.0, spread=0.5)
    means = normal(4, 3, 5)
    posterior = torch.distributions.Normal(means, torch.full_like(means, 0.5))
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).mean(dim=(1, 2))
    torch.testing.assert_close(bottleneck.charge(means), 2 * expected)


def test_the_noise_has_the_spread_and_is_not_scaled_by_a_gain():
    bottleneck = VariationalBottleneck(2, spread=0.5)
    means = torch.zeros(2, 2, 20_000)
    noise = bottleneck.sample(means, DRAWS) - means
    torch.testing.assert_close(noise.std(), torch.tensor(0.5), rtol=0.02, atol=0)
    torch.testing.assert_close(bottleneck.sample(3 + means, DRAWS) - 3, noise, atol=1e-6, rtol=1e-6)
    model = wave(bottleneck=VariationalBottleneck(3, weight=1e-3))
    model.training_loss(torch.zeros(2, 3, 10), torch.zeros(2, 80), NOW, DRAWS).sum().backward()
    assert model.bottleneck.log_spread.grad.any()


# -------------------------------------------------------------------------------------------------------------- saving


def test_modules_in_modules_come_back_from_json(normal):
    made = [
        wave(losses=[RelativeL2(2.0), MelSTFT(16_000, bands=32)], bottleneck=VariationalBottleneck(3)),
        OobleckAutoencoder(6, [2, 4], [1, 2], 4, 3, losses=[MultiResolutionSTFT(floor=0.1)]),
    ]
    for model in made:
        again = build(json.loads(json.dumps(settings_of(model))))
        again.load_state_dict(model.state_dict())
        assert settings_of(again) == settings_of(model)
        audio = normal(2, 80) if model.audio_channels == 1 else normal(2, 2, 80)
        assert torch.equal(again.encode(audio), model.encode(audio))


def test_a_folder_of_diffusers_is_a_model_to_go_on_from(tmp_path, normal):
    from diffusers import AutoencoderOobleck

    vae = AutoencoderOobleck(6, [2, 4], [1, 2], 4, 3, audio_channels=2, sampling_rate=22_050).eval()
    vae.save_pretrained(tmp_path)
    autoencoder, scale_factor = load_pretrained(tmp_path)
    audio = normal(2, 2, 80)
    latents = vae.encode(audio).latent_dist.mode()
    assert (autoencoder.sample_rate, autoencoder.stride, scale_factor) == (22_050, 8, 1)
    torch.testing.assert_close(autoencoder.encode(audio), latents)
    torch.testing.assert_close(autoencoder.decode(latents), vae.decode(latents).sample)


def test_unfit_sizes_are_refused():
    with pytest.raises(ValueError, match="2 strides need 3 widths, got 2"):
        WaveformAutoencoder(widths=[4, 8], strides=[2, 4])
    with pytest.raises(ValueError, match=r"strides \[3\] are odd"):
        WaveformAutoencoder(widths=[4, 8], strides=[3])
