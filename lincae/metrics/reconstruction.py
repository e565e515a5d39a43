"""Decoded waveforms against the waveforms that they should be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lincae.metrics.clip_table import ClipTable
from lincae.metrics.ratios import si_sdr, signal_to_noise
from lincae.metrics.spectral import multi_scale_spectral
from lincae.metrics.waveforms import is_active

WAVEFORM_FIGURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mss": multi_scale_spectral,
    "snr": signal_to_noise,
    "si_sdr": si_sdr,
}


class Reconstruction(ClipTable):
    """Figures `{name}/mss`, `{name}/snr`, `{name}/si_sdr` over clips whose target is active.

    The same comparison under other names: decoded from another clip's latents (`shuffled`), with another noise
    (`floor`), through the STFT alone (`stft`).

    Args:
        clips: number of clips in the evaluation set.
        name: first part of the keys.
        figures: any of `mss`, `snr`, `si_sdr`.

    Raises:
        ValueError: if a figure is unknown.
    """

    def __init__(
        self, clips: int, name: str = "reconstruction", figures: Sequence[str] = ("mss", "snr", "si_sdr")
    ) -> None:
        if unknown := set(figures) - set(WAVEFORM_FIGURES):
            raise ValueError(f"unknown figures {sorted(unknown)}: choose from {list(WAVEFORM_FIGURES)}")
        super().__init__(clips, [f"{name}/{figure}" for figure in figures])
        self.figures = tuple(figures)

    def update(self, decoded: Tensor, audio: Tensor, clip_index: Tensor) -> None:  # type: ignore[override]
        """Compare decoded audio (N, T) with audio (N, T) for the clips `clip_index` (N,)."""
        values = [WAVEFORM_FIGURES[figure](decoded, audio) for figure in self.figures]
        super().update(torch.stack(values, dim=1), clip_index, is_active(audio)[:, None])
