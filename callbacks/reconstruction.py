"""How well clips are reconstructed, beside two controls."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from callbacks.figures import Figures
from lincae.evaluation import DecodedClips
from lincae.metrics import ClipTable, Reconstruction


class ReconstructionFigures(Figures):
    """Logs `val/reconstruction/*`, and what the figures are worth.

    `val/shuffled/*` decodes the latents of another clip, the batch's `other`: a decoder that ignores its latents scores
    no worse there, and would look linear. `val/floor/*` compares two decodes of the same latents under different noise;
    where decoding is deterministic they are equal.
    """

    def make_metrics(self, clips: int, stems: Sequence[str]) -> Sequence[ClipTable]:
        return (
            Reconstruction(clips),
            Reconstruction(clips, name="shuffled", figures=("mss", "snr")),
            Reconstruction(clips, name="floor", figures=("mss", "snr")),
        )

    def measure(self, clips: DecodedClips, batch: dict[str, Tensor]) -> None:
        reconstruction, shuffled, floor = self.metrics
        reconstruction.update(clips.decoded, clips.audio, clips.index)
        if "other" in batch:
            shuffled.update(clips.decode(clips.autoencoder.encode(batch["other"])), clips.audio, clips.index)
        again = clips
        if clips.noise is not None:
            again = DecodedClips.of(clips.autoencoder, batch["audio"], batch["index"], repeat=1)
        floor.update(again.decoded, clips.decoded, clips.index)
