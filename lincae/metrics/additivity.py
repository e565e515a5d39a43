"""Additivity: sums of latents against latents of sums, in the latent space and as sound."""

from __future__ import annotations

import torch
from torch import Tensor

from lincae.metrics.clip_table import ClipTable
from lincae.metrics.linearity import encoder_additivity_error
from lincae.metrics.ratios import signal_to_noise
from lincae.metrics.spectral import multi_scale_spectral
from lincae.metrics.waveforms import is_active


class EncoderAdditivity(ClipTable):
    """`encoder/additivity_error`: sum_k Enc(s_k) against Enc(sum_k s_k), relative, lower is better.

    Args:
        clips: number of clips in the evaluation set.
        point: end of the figures' names, such as `/k2` where they are points of a curve over the number of sources.
    """

    def __init__(self, clips: int, point: str = "") -> None:
        super().__init__(clips, [f"encoder/additivity_error{point}"])

    def update(self, sources: Tensor, mixture: Tensor, clip_index: Tensor) -> None:  # type: ignore[override]
        """Compare latents of K >= 2 sources (N, K, D, L) with those of their sum (N, D, L)."""
        super().update(encoder_additivity_error(sources, mixture)[:, None], clip_index)


class DecoderAdditivity(ClipTable):
    """The decoded sum of latents, Dec(sum_k z_k), against three targets.

    - `decoder/additivity_{mss,snr}`: the mix itself, the headline.
    - `decoder/additivity_self_{mss,snr}`: Dec(Enc(mix)), where a decoder that ignores its latents is perfect.
    - `decoder/additivity_sum_{mss,snr}`: sum_k Dec(z_k).

    MSS: lower is better; SNR in dB: higher is better. A clip counts for a figure where that figure's target is active.

    Args:
        clips: number of clips in the evaluation set.
        point: end of the figures' names, such as `/k2` where they are points of a curve over the number of sources.
    """

    def __init__(self, clips: int, point: str = "") -> None:
        targets = ["additivity", "additivity_self", "additivity_sum"]
        figures = [f"decoder/{target}_{figure}{point}" for target in targets for figure in ("mss", "snr")]
        super().__init__(clips, figures)

    def update(  # type: ignore[override]
        self, decoded_sum: Tensor, mix: Tensor, decoded_mix: Tensor, summed_decodes: Tensor, clip_index: Tensor
    ) -> None:
        """Add clips, all decoded from the same noise.

        Args:
            decoded_sum: Dec(sum_k z_k), (N, T).
            mix: sum_k s_k, (N, T).
            decoded_mix: Dec(Enc(mix)), (N, T).
            summed_decodes: sum_k Dec(z_k), (N, T).
            clip_index: (N,).
        """
        values, present = [], []
        for target in (mix, decoded_mix, summed_decodes):
            values += [multi_scale_spectral(decoded_sum, target), signal_to_noise(decoded_sum, target)]
            present += 2 * [is_active(target)]
        super().update(torch.stack(values, dim=1), clip_index, torch.stack(present, dim=1))
