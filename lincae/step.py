"""One training step, the same in a training and in a replay of it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lincae.mixing import Batch


def take_step(autoencoder: Any, batch: Batch, progress: Tensor) -> Tensor:
    """Encode the sources, mix the latents, and let the decoder produce the mixed waveforms.

    Args:
        autoencoder: a `lincae.autoencoders.protocol.LatentAutoencoder`.
        batch: its `latents` and `losses` are set, without their graphs.
        progress: share of the training that is over, ().

    Returns:
        The mean loss, ().
    """
    mixture = batch.mixture
    latents = autoencoder.encode(mixture.sources)
    losses = autoencoder.training_loss(mixture.condition(latents), mixture.targets, progress, batch.draws)
    batch.latents, batch.losses = latents.detach(), losses.detach()
    return losses.mean()
