"""Training crops by number, a batch at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from datamodules.reader import Crop, CropReader, rms
from lincae.mixing import Origin

ATTEMPTS = 100
"""Crops tried for one number. Where nine tenths of a corpus are silent, one number in 40,000 would need more."""


class CropDataset(Dataset):
    """Batches of crops; those that are silent or cannot be read are replaced by the rule's next attempt.

    Args:
        rule: (g, attempt) -> place of crop g.
        reader: reads places.
        silence: crops of lower rms are silent; full scale is 1.
    """

    def __init__(self, rule: Callable[[int, int], Crop], reader: CropReader, silence: float) -> None:
        self.rule, self.reader, self.silence = rule, reader, silence

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """`audio` (N, T), `index` (the numbers g), `origins` of the crops, and what had to be `rejected`.

        In stereo `audio` is (N, 2, T).

        The latter is (corpus, path, reason) of each replaced crop.

        Raises:
            RuntimeError: if no attempt gives a usable crop.
        """
        audio = batch_buffer(len(indices), *self.reader.shape)
        rows = list(audio.numpy())
        rejected = []
        origins: dict[int, Origin] = {}
        waiting = list(range(len(indices)))
        for attempt in range(ATTEMPTS):
            crops = [self.rule(indices[row], attempt) for row in waiting]
            reasons = self.reader.read(crops, [rows[row] for row in waiting])
            for place, row in enumerate(waiting):
                origins[row] = Origin(crops[place].file.location, crops[place].start)
                if reasons[place] is None and rms(rows[row]) < self.silence:
                    reasons[place] = "silent"
            bad = [place for place, reason in enumerate(reasons) if reason]
            rejected += [(crops[place].file.corpus, crops[place].file.path, reasons[place]) for place in bad]
            waiting = [waiting[place] for place in bad]
            if not waiting:
                return {
                    "audio": audio,
                    "index": list(indices),
                    "origins": [origins[row] for row in range(len(indices))],
                    "rejected": rejected,
                }
        file = crops[-1].file
        counts = dict(Counter(reason for corpus, _, reason in rejected if corpus == file.corpus))
        raise RuntimeError(
            f"crop {indices[waiting[-1]]}: none of {ATTEMPTS} places in corpus {file.corpus!r} ({file.root}) can be "
            f"used; its batch met {counts}. Remove silent or broken files, or lower --data.silence={self.silence}"
        )


def batch_buffer(*shape: int) -> Tensor:
    """Room for a batch (N, ...), float32; in a loader's worker it is memory that the main process sees too.

    So a batch is written once, where it stays until it is copied to the device.
    """
    buffer = torch.empty(*shape)
    return buffer if get_worker_info() is None else buffer.share_memory_()


def as_it_is(batch: dict[str, Any]) -> dict[str, Any]:
    """Collates nothing: the dataset makes whole batches."""
    return batch
