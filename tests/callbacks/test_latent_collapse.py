"""Latents that are driven to a point, and trainings that are well."""

import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from callbacks import LatentCollapse
from lincae.autoencoders.spectral import SpectralAutoencoder
from lincae.mixing import Batch, Mixture
from lincae.networks.sizes import NetworkSizes
from lincae.step import take_step
from lincae.stft import Spectrogram
from lincae.streams import Draws

CONFIG = yaml.safe_load((Path(__file__).parents[2] / "configs" / "lincae.yaml").read_text())


def watch(callback: LatentCollapse, levels: list[float], first: int = 1, every: int = 1) -> list[str]:
    """The warnings over steps whose latents have these standard deviations."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step, level in enumerate(levels, start=first):
            batch = Batch(Mixture(torch.zeros(2, 8), torch.eye(2)), Draws(0, [0]))
            latents = torch.tensor([-1.0, 1.0]).repeat(8).view(4, 2, 2)
            batch.latents = 3 + level * latents / latents.std()
            trainer = SimpleNamespace(global_step=step, log_every_n_steps=every)
            callback.on_train_batch_end(trainer, None, {}, batch, step)
    return [str(warning.message) for warning in caught]


def test_a_fall_towards_zero_is_warned_of_once():
    (message,) = watch(LatentCollapse(0.02), [0.2, 0.5, 0.3, 0.05, 0.012, 0.009, 0.001, 0.5, 0.001])
    assert "standard deviation is 0.009 at step 6, and was 0.5 at step 2" in message


def test_a_level_that_was_always_low_is_no_collapse():
    assert watch(LatentCollapse(), [0.001] * 5) == []


def test_levels_are_means_over_the_steps_between_logs():
    """One bad step in ten is no collapse, ten are."""
    levels = [0.5] * 10 + [0.0] + [0.5] * 9
    assert watch(LatentCollapse(), levels, every=10) == []
    (message,) = watch(LatentCollapse(), levels + [0.0] * 10, every=10)
    assert "at step 30, and was 0.5 at step 10" in message


def test_what_is_not_finite_is_left_to_others():
    assert watch(LatentCollapse(), [0.5, float("nan"), float("inf"), 0.5]) == []


def test_a_resumed_run_remembers_the_highest_level_and_the_warning():
    first, second = LatentCollapse(), LatentCollapse()
    watch(first, [0.5, 0.4])
    second.load_state_dict(first.state_dict())
    assert len(watch(second, [0.005], first=3)) == 1
    third = LatentCollapse()
    third.load_state_dict(second.state_dict())
    assert watch(third, [0.004], first=4) == []


def test_the_demos_lowest_level_is_no_collapse_by_the_defaults_of_the_configuration():
    """Its trainings fall from 0.509 to 0.0745 at single steps."""
    settings = CONFIG["callbacks"]["latent_collapse"]["init_args"]
    assert settings == {"share": LatentCollapse().share}
    assert watch(LatentCollapse(**settings), [0.26, 0.509, 0.0745, 0.29]) == []


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_that_make_no_sense_are_refused(share):
    with pytest.raises(ValueError, match="share must be between 0 and 1"):
        LatentCollapse(share)


@pytest.mark.parametrize(("penalty", "warned"), [(0.0, 0), (3.0, 1)])
def test_an_encoder_that_is_driven_to_zero_is_noticed_and_one_that_learns_is_not(penalty, warned):
    """Sixty steps of a tiny model, with and without a penalty on its latents, by the defaults."""
    torch.manual_seed(0)
    sizes = NetworkSizes((8,), (), (False,), 1, latents=2, bottleneck=8, bottleneck_blocks=1)
    model = SpectralAutoencoder(Spectrogram(hop=32, window=64), sizes)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    callback, messages = LatentCollapse(), []
    for step in range(1, 61):
        draws = Draws(0, [step])
        batch = Batch(Mixture(0.3 * draws.normal("clip", 4, 544), torch.eye(4)), draws)
        loss = take_step(model, batch, torch.zeros(()))
        loss = loss + penalty * model.encode(batch.mixture.sources).square().mean().sqrt()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            trainer = SimpleNamespace(global_step=step, log_every_n_steps=5)
            callback.on_train_batch_end(trainer, None, {}, batch, step)
        messages += [warning for warning in caught if "COLLAPSING" in str(warning.message)]
    assert len(messages) == warned
