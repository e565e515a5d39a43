"""Taking a broken step again, and seeing where its numbers stop being finite."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from lincae.broken_step import BrokenStep
from lincae.finiteness import NotFinite, not_finite, watched
from lincae.mixing import Batch
from lincae.step import take_step

REPEATED = ("precision", "deterministic", "benchmark")
"""Settings of the trainer that decide how numbers are computed."""


@dataclass
class Replay:
    """What came of it.

    Attributes:
        losses: of each row, (N,).
        forward: tensors that are not finite, in the order in which they are made.
        gradients: of the weights, in the order in which backward reaches them.
        weights: how many tensors have a gradient.
    """

    losses: Tensor
    forward: list[NotFinite]
    gradients: list[NotFinite]
    weights: int


def replay(broken: BrokenStep, device: str) -> Replay:
    """Take the step once more, forward and backward, eagerly.

    Args:
        broken: the step.
        device: `cpu` or `cuda`. On another kind than the run's, noise levels and noise are others.

    Raises:
        ValueError: if the step holds no configuration.
    """
    autoencoder, batch = broken.autoencoder(device), broken.batch(device)
    progress = torch.full((), broken.progress, device=device)
    found = [entry for name, weight in autoencoder.named_parameters() for entry in not_finite(f"weight {name}", weight)]
    found += inputs(batch)
    with trainer_of(broken, device).precision_plugin.train_step_context(), watched(autoencoder) as outputs:
        loss = take_step(autoencoder, batch, progress)
    loss.backward()
    assert batch.latents is not None  # the step is taken
    assert batch.losses is not None
    found += outputs + not_finite("losses", batch.losses)
    trained = [(name, p.grad) for name, p in autoencoder.named_parameters() if p.grad is not None]
    gradients = [entry for name, grad in reversed(trained) for entry in not_finite(f"gradient of {name}", grad)]
    return Replay(batch.losses, found, gradients, len(trained))


def inputs(batch: Batch) -> list[NotFinite]:
    """Which of the tensors that the step starts from are not finite."""
    mixture = batch.mixture
    named = {"clips": mixture.sources, "mixing matrix": mixture.matrix, "targets": mixture.targets}
    return [entry for name, tensor in named.items() for entry in not_finite(name, tensor)]


def trainer_of(broken: BrokenStep, device: str) -> Trainer:
    """A trainer that computes like the run's."""
    assert broken.config is not None  # the autoencoder was built from it
    settings = {key: broken.config["trainer"][key] for key in REPEATED}
    return Trainer(
        **settings,
        accelerator=device,
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
