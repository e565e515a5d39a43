"""What is left of a track when a stem's latent is subtracted?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from callbacks.figures import Figures, Loader
from lincae.evaluation import DecodedClips
from lincae.metrics import ClipTable, Removal


class RemovalFigures(Figures):
    """Logs `val/removal/*`: Dec(Enc(mix) - Enc(stem)) against the mix without the stem, for each stem of the tracks."""

    loader = Loader.TRACKS

    def make_metrics(self, clips: int, stems: Sequence[str]) -> Sequence[ClipTable]:
        return (Removal(clips),)

    def measure(self, clips: DecodedClips, batch: dict[str, Tensor]) -> None:
        (removal,) = self.metrics
        stems, encode = batch["stems"].unbind(1), clips.autoencoder.encode
        mix = batch["stems"].sum(dim=1)
        removed = clips.decode_each(clips.latents - encode(stem) for stem in stems)
        reconstructed = clips.decode_each(encode(mix - stem) for stem in stems)
        remainders = torch.stack([clips.heard(mix - stem) for stem in stems], dim=1)
        removal.update(removed.transpose(0, 1), reconstructed.transpose(0, 1), remainders, clips.index)
