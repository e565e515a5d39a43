"""Removal of one stem from a mix by latent arithmetic, and what it costs beside a plain reconstruction."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from lincae.metrics.clip_table import ClipTable
from lincae.metrics.ratios import si_sdr
from lincae.metrics.waveforms import is_active


class Removal(ClipTable):
    """Dec(Enc(mix) - Enc(s)) against what remains without the stem s, r = mix - s.

    - `removal/si_sdr`: SI-SDR of the removal, dB, higher is better.
    - `removal/tax`: SI-SDR(Dec(Enc(r)), r) less that, dB, lower is better: the price of the arithmetic alone, which
      compares autoencoders that reconstruct differently well.

    Both are averaged over the stems of a clip, then over clips. A stem counts where r is active: in a clip of a single
    stem nothing remains. A silent stem is removed like any other.

    Source: Akhanov (github.com/nurdauletakhanov/musicgen), where the price is called linearity tax.

    Args:
        clips: number of clips in the evaluation set.
    """

    def __init__(self, clips: int) -> None:
        super().__init__(clips, ["removal/si_sdr", "removal/tax"])

    def update(  # type: ignore[override]
        self, removed: Tensor, reconstructed: Tensor, remainders: Tensor, clip_index: Tensor
    ) -> None:
        """Add clips, all decoded from the same noise.

        Args:
            removed: Dec(Enc(mix) - Enc(s)) for each stem s, (N, K, T).
            reconstructed: Dec(Enc(r)), (N, K, T).
            remainders: r, (N, K, T).
            clip_index: (N,).
        """
        stems = remainders.shape[1]
        p, q, r = (rearrange(audio, "n k t -> (n k) t") for audio in (removed, reconstructed, remainders))
        score = si_sdr(p, r)
        figures = torch.stack([score, si_sdr(q, r) - score], dim=1)
        super().update(figures, clip_index.repeat_interleave(stems), is_active(r)[:, None])
