"""Training crops by number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from datamodules.reader import BadAudioError, Crop, rms

ATTEMPTS = 100
"""Crops tried for one number. Where nine tenths of a corpus are silent, one number in 40,000 would need more."""


class CropDataset(Dataset):
    """Crop g of a training; crops that are silent or cannot be read are replaced by the rule's next attempt.

    Args:
        rule: (g, attempt) -> place of a crop.
        reader: place -> waveform (T,); raises `BadAudioError`.
        silence: crops of lower rms are silent; full scale is 1.
    """

    def __init__(self, rule: Callable[[int, int], Crop], reader: Callable[[Crop], np.ndarray], silence: float) -> None:
        self.rule, self.reader, self.silence = rule, reader, silence

    def __getitem__(self, index: int) -> dict[str, Any]:
        """`audio` (T,), `index` g, and `rejected`: (corpus, path, reason) of each crop that was replaced.

        Raises:
            RuntimeError: if no attempt gives a usable crop.
        """
        rejected = []
        for attempt in range(ATTEMPTS):
            crop = self.rule(index, attempt)
            try:
                audio = self.reader(crop)
                if rms(audio) < self.silence:
                    raise BadAudioError("silent")
            except BadAudioError as bad:
                rejected.append((crop.file.corpus, crop.file.path, bad.reason))
            else:
                return {"audio": torch.from_numpy(audio), "index": index, "rejected": rejected}
        reasons = dict(Counter(reason for _, _, reason in rejected))
        raise RuntimeError(
            f"crop {index}: none of {ATTEMPTS} places in corpus {crop.file.corpus!r} ({crop.file.root}) can be used: "
            f"{reasons}. Remove silent or broken files, or lower --data.silence={self.silence}"
        )


def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
    """`audio` (N, T); `index` and `rejected` as lists, which stay on the CPU."""
    return {
        "audio": torch.stack([item["audio"] for item in items]),
        "index": [item["index"] for item in items],
        "rejected": [rejection for item in items for rejection in item["rejected"]],
    }
