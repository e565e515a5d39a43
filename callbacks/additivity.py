"""Is the sum of the latents the latent of the sum, and does it decode to the sum?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from callbacks.figures import Figures, Loader
from lincae.evaluation import DecodedClips
from lincae.metrics import ClipTable, DecoderAdditivity, EncoderAdditivity


class AdditivityFigures(Figures):
    """Logs `val/decoder/additivity_*` and `val/encoder/additivity_error` over the stems of tracks.

    Args:
        curve: also measure the first 2, 3, ... stems of each track, logged as `.../k2`, `.../k3`, ...
    """

    loader = Loader.TRACKS

    def __init__(self, curve: bool = False) -> None:
        super().__init__()
        self.curve = curve

    def make_metrics(self, clips: int, stems: Sequence[str]) -> Sequence[ClipTable]:
        points = ["", *(f"/k{k}" for k in range(2, len(stems) + 1) if self.curve)]
        return [metric(clips, point) for point in points for metric in (DecoderAdditivity, EncoderAdditivity)]

    def measure(self, clips: DecodedClips, batch: dict[str, Tensor]) -> None:
        stems, encode = batch["stems"], clips.autoencoder.encode
        latents = torch.stack([encode(stem) for stem in stems.unbind(1)], dim=1)
        decodes = clips.decode_each(latents.unbind(1))
        counts = [stems.shape[1], *range(2, stems.shape[1] + 1)] if self.curve else [stems.shape[1]]
        for k, decoder, encoder in zip(counts, self.metrics[::2], self.metrics[1::2], strict=True):
            if k == stems.shape[1]:
                mix, mixed, decoded_mix = clips.audio, clips.latents, clips.decoded
            else:
                whole = stems[:, :k].sum(dim=1)
                mix, mixed = clips.heard(whole), encode(whole)
                decoded_mix = clips.decode(mixed)
            decoded_sum = clips.decode(latents[:, :k].sum(dim=1))
            decoder.update(decoded_sum, mix, decoded_mix, decodes[:k].sum(dim=0), clips.index)
            encoder.update(latents[:, :k], mixed, clips.index)
