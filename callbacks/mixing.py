"""Is a decoded mix of two latents the mix of the two sounds?"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from callbacks.figures import Figures
from lincae.evaluation import DecodedClips
from lincae.metrics import MIX_RATIOS, ClipTable, Mixing, mix_pairs


class MixingFigures(Figures):
    """Logs `val/mixing/*`: each clip mixed with another one, the batch's `other`.

    Args:
        ratios: shares of the clip in its mix, as a curve logged as `.../r0.50`; with 0.5, the headline, among them.
    """

    def __init__(self, ratios: list[float] | None = None) -> None:
        super().__init__()
        self.ratios = MIX_RATIOS if ratios is None else tuple(ratios)

    def make_metrics(self, clips: int, stems: Sequence[str]) -> Sequence[ClipTable]:
        return (Mixing(clips, self.ratios),)

    def measure(self, clips: DecodedClips, batch: dict[str, Tensor]) -> None:
        if "other" not in batch:
            return
        (mixing,) = self.metrics
        assert isinstance(mixing, Mixing)
        latents = mix_pairs(clips.latents, clips.autoencoder.encode(batch["other"]), mixing.ratios)
        mixes = mix_pairs(batch["audio"], batch["other"], mixing.ratios)
        reconstructed = clips.decode_each(clips.autoencoder.encode(mix) for mix in mixes)
        mixing.update(clips.decode_each(latents), reconstructed, clips.heard(mixes), clips.index)
