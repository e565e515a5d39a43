"""Is the sum of the latents the latent of the sum, and does it decode to the sum?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from callbacks.figures import Figures, Loader
from lincae.evaluation import DecodedClips
from lincae.metrics import ClipTable, DecoderAdditivity, EncoderAdditivity


class AdditivityFigures(Figures):
    """Logs `val/decoder/additivity_*` and `val/encoder/additivity_error` over the stems of tracks."""

    loader = Loader.TRACKS

    def make_metrics(self, clips: int, stems: Sequence[str]) -> Sequence[ClipTable]:
        return DecoderAdditivity(clips), EncoderAdditivity(clips)

    def measure(self, clips: DecodedClips, batch: dict[str, Tensor]) -> None:
        decoder, encoder = self.metrics
        latents = torch.stack([clips.autoencoder.encode(stem) for stem in batch["stems"].unbind(1)], dim=1)
        summed_decodes = clips.decode_each(latents.unbind(1)).sum(dim=0)
        decoder.update(clips.decode(latents.sum(dim=1)), clips.audio, clips.decoded, summed_decodes, clips.index)
        encoder.update(latents, clips.latents, clips.index)
