"""A training step whose numbers broke, kept with all that it depends on, so that it can be taken again."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lincae.checkpoint_files import read_tensors
from lincae.checkpoint_io import AtomicCheckpointIO
from lincae.mixing import Batch, Mixture, Origin
from lincae.settings import build
from lincae.streams import Draws
from lincae.weight_order import order_weights


@dataclass
class BrokenStep:
    """What a step of one process was made of.

    Attributes:
        what: `loss` or `gradient`, whichever was not finite first.
        step: number of the optimiser step, from 1.
        micro_batch: which of the batches that the step accumulates, from 0.
        process: rank among all processes.
        progress: share of the training that was over.
        gain_range: of random gains at that time.
        sources: X, (S, T).
        matrix: A, (N, S), mixes and gains.
        implicit: whether latents are mixed.
        origins: file and first sample of each clip.
        losses: of each row, (N,), as they came out.
        seed, groups, device: of the random streams, from which noise levels and noise are drawn anew.
        weights: the autoencoder's, before the step.
        config: of the run; None if it was not started by `lincae fit`.
    """

    what: str
    step: int
    micro_batch: int
    process: int
    progress: float
    gain_range: tuple[float, float]
    sources: Tensor
    matrix: Tensor
    implicit: bool
    origins: list[tuple[str, int]]
    losses: Tensor
    seed: int
    groups: list[int]
    device: str
    weights: dict[str, Tensor]
    config: dict[str, Any] | None

    def save(self, path: Path) -> None:
        """Write the file as a whole or not at all."""
        AtomicCheckpointIO().save_checkpoint({field.name: getattr(self, field.name) for field in fields(self)}, path)

    @classmethod
    def load(cls, path: Path) -> BrokenStep:
        """Read a file, without executing code that is in it, onto the CPU.

        Raises:
            ValueError, CheckpointError: if it is no such file.
        """
        content = read_tensors(path, map_location="cpu")
        if not isinstance(content, dict) or content.keys() != {field.name for field in fields(cls)}:
            raise ValueError(f"{path} holds no broken step: give a file that a training left in its folder broken/")
        return cls(**content)

    def batch(self, device: torch.device | str) -> Batch:
        """The batch, on a device."""
        mixture = Mixture(self.sources.to(device), self.matrix.to(device), self.implicit)
        return Batch(mixture, Draws(self.seed, self.groups, device), [Origin(*origin) for origin in self.origins])

    def autoencoder(self, device: torch.device | str) -> Any:
        """The autoencoder at the weights of the step, in training mode.

        Raises:
            ValueError: if there is no configuration to build it from, or it names other classes than
                `lincae.settings.build` takes.
        """
        if self.config is None:
            raise ValueError("the step holds no configuration: its training was not started by `lincae fit`")
        settings = self.config["model"]["init_args"]
        autoencoder = build(settings["autoencoder"])
        autoencoder.load_state_dict(self.weights)
        order_weights(autoencoder, settings["channels_last"], torch.device(device))
        return autoencoder.to(device).train()
