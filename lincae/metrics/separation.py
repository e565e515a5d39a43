"""Separation by latent arithmetic: what is left of a mix once other latents are taken away."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange, repeat
from torch import Tensor

from lincae.metrics.clip_table import ClipTable
from lincae.metrics.ratios import si_sdr
from lincae.metrics.spectral import multi_scale_spectral
from lincae.metrics.waveforms import is_active, leakage_dbfs

FIGURES = ("mss", "si_sdr", "mss_all", "leakage_dbfs")


class Separation(ClipTable):
    """Separated stems against the true ones, under `{name}/{stem}_{figure}` and their means `{name}/{figure}`.

    - `mss` (lower is better) and `si_sdr` (dB, higher is better) over clips where the stem is active;
    - `mss_all` over all clips: a few silent stems can carry it;
    - `leakage_dbfs` over clips where the stem is inactive: level of the estimate, dB relative to full scale, lower is
      better; `{stem}_inactive` is their number.

    The mean of a figure is taken over the stems that have it, each stem's being over clips: a stem that is often silent
    has the weight of the others.

    Args:
        clips: number of clips in the evaluation set.
        stems: name of each of the K >= 2 stems. Stems of the same name share their figures, averaged within a clip, so
            unnamed sources can all be called `source`.
        name: first part of the keys.

    Raises:
        ValueError: if there are fewer than two stems.
    """

    owners: Tensor

    def __init__(self, clips: int, stems: Sequence[str], name: str = "separation") -> None:
        if len(stems) < 2:
            raise ValueError(f"separation needs a mix of at least 2 stems, got {list(stems)}")
        self.name = name
        self.names = tuple(dict.fromkeys(stems))
        super().__init__(clips, [f"{name}/{stem}_{figure}" for stem in self.names for figure in FIGURES])
        self.averages = {f"{name}/{figure}": [f"{name}/{stem}_{figure}" for stem in self.names] for figure in FIGURES}
        owners = [[stem == column for column in self.names] for stem in stems]
        self.register_buffer("owners", torch.tensor(owners), persistent=False)  # (K, names)

    def update(self, estimates: Tensor, stems: Tensor, clip_index: Tensor) -> None:  # type: ignore[override]
        """Compare estimates (N, K, T) with stems (N, K, T), in the order of the names, for clips `clip_index` (N,).

        Raises:
            ValueError: if K is not the number of names.
        """
        if stems.shape[1] != len(self.owners):
            raise ValueError(f"{stems.shape[1]} stems for {len(self.owners)} names of stems")
        # One row for each stem of each clip, with figures in the columns of that stem's name only.
        estimate, target = (rearrange(audio, "n k t -> (n k) t") for audio in (estimates, stems))
        mss, active = multi_scale_spectral(estimate, target).double(), is_active(target)
        values = torch.stack([mss, si_sdr(estimate, target), mss, leakage_dbfs(estimate)], dim=1)
        present = torch.stack([active, active, torch.ones_like(active), ~active], dim=1)
        own = repeat(self.owners, "k name -> (n k) name figure", n=len(stems), figure=len(FIGURES))
        super().update(
            repeat(values, "row figure -> row (name figure)", name=len(self.names)),
            clip_index.repeat_interleave(stems.shape[1]),
            rearrange(own & present[:, None], "row name figure -> row (name figure)"),
        )

    def compute(self) -> dict[str, Tensor]:
        """The figures of each stem, their means over stems, and the number of clips in which a stem is inactive."""
        figures, counts = super().compute(), self.counts()
        for stem in self.names:
            figures[f"{self.name}/{stem}_inactive"] = counts[f"{self.name}/{stem}_leakage_dbfs"]
        return figures
