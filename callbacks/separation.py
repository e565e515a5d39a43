"""Oracle source separation by subtracting latents."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from callbacks.figures import Figures, Loader
from lincae.evaluation import DecodedClips, trim
from lincae.metrics import ClipTable, Separation


class SeparationFigures(Figures):
    """Logs `val/separation/*`: Dec(Enc(mix) - Enc(mix - stem)) against each stem of the tracks."""

    loader = Loader.TRACKS

    def make_metrics(self, clips: int, stems: Sequence[str]) -> Sequence[ClipTable]:
        return (Separation(clips, stems),)

    def measure(self, clips: DecodedClips, batch: dict[str, Tensor]) -> None:
        (separation,) = self.metrics
        stems, encode = batch["stems"], clips.autoencoder.encode
        mix = stems.sum(dim=1)
        estimates = clips.decode_each(clips.latents - encode(mix - stem) for stem in stems.unbind(1))
        margin = clips.autoencoder.margin
        separation.update(estimates.transpose(0, 1), trim(stems, margin), clips.index)
