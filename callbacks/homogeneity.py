"""Does scaling the latents scale the sound, and the other way round?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from callbacks.figures import Figures
from lincae.evaluation import DecodedClips
from lincae.metrics import CURVE_GAINS, HEADLINE_GAINS, ClipTable, DecoderHomogeneity, EncoderHomogeneity


class HomogeneityFigures(Figures):
    """Logs `val/decoder/homogeneity_*` and `val/encoder/homogeneity_error`, as means and as curves over gains.

    Args:
        headline: gains whose mean is the figure.
        curve: gains of the curve, logged as `.../a0.50`; includes the headline's.
    """

    def __init__(self, headline: list[float] | None = None, curve: list[float] | None = None) -> None:
        super().__init__()
        self.headline = HEADLINE_GAINS if headline is None else tuple(headline)
        self.curve = CURVE_GAINS if curve is None else tuple(curve)

    def make_metrics(self, clips: int, stems: Sequence[str]) -> Sequence[ClipTable]:
        return (
            DecoderHomogeneity(clips, self.curve, self.headline),
            EncoderHomogeneity(clips, self.curve, self.headline),
        )

    def measure(self, clips: DecodedClips, batch: dict[str, Tensor]) -> None:
        decoder, encoder = self.metrics
        decoder.update(clips.decode_each(a * clips.latents for a in self.curve), clips.decoded, clips.index)
        scaled = torch.stack([clips.autoencoder.encode(a * batch["audio"]) for a in self.curve])
        encoder.update(scaled, clips.latents, clips.index)
