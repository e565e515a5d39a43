"""Oracle source separation by subtracting latents."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from callbacks.figures import Figures, Loader
from lincae.evaluation import DecodedClips
from lincae.metrics import ClipTable, Separation


class SeparationFigures(Figures):
    """Logs `val/separation/*`: Dec(Enc(mix) - Enc(mix - stem)) against each stem of the tracks.

    Args:
        by_sum: also log `val/separation_sum/*`: Dec(Enc(mix) - sum of the other stems' latents).
    """

    loader = Loader.TRACKS

    def __init__(self, by_sum: bool = False) -> None:
        super().__init__()
        self.by_sum = by_sum

    def make_metrics(self, clips: int, stems: Sequence[str]) -> Sequence[ClipTable]:
        names = ["separation", "separation_sum"] if self.by_sum else ["separation"]
        return [Separation(clips, stems, name) for name in names]

    def measure(self, clips: DecodedClips, batch: dict[str, Tensor]) -> None:
        stems, encode = batch["stems"], clips.autoencoder.encode
        mix, targets = stems.sum(dim=1), clips.heard(stems)
        estimates = clips.decode_each(clips.latents - encode(mix - stem) for stem in stems.unbind(1))
        self.metrics[0].update(estimates.transpose(0, 1), targets, clips.index)
        if self.by_sum:
            latents = torch.stack([encode(stem) for stem in stems.unbind(1)])
            others = latents.sum(dim=0) - latents
            estimates = clips.decode_each(clips.latents - other for other in others)
            self.metrics[1].update(estimates.transpose(0, 1), targets, clips.index)
