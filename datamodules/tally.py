"""What a training had to reject so far, in all of its processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import torch
from lightning.pytorch import Trainer

from datamodules.index import CorpusIndex
from lincae.rhythm import looks

Rejection = tuple[str, str, str]  # corpus, path, reason


class Tally:
    """Counts files that the scan left out and crops that were replaced.

    With several processes each reads other crops. They tell each other what they met whenever the trainer logs (see
    `lincae.rhythm`), so that every process has the counts of all, and all stop at the same step when too many files are
    broken.

    Args:
        indices: the corpora by name.
    """

    def __init__(self, indices: Mapping[str, CorpusIndex]) -> None:
        self.indices = indices
        self._untold: list[Rejection] = []

    def count(self, rejected: Iterable[Rejection], trainer: Trainer) -> None:
        """Counts the replaced crops of one batch of this process.

        Raises:
            ValueError: if too many files of a corpus are broken.
        """
        self._untold += rejected
        if trainer.world_size > 1:
            if not looks(trainer, trainer.global_step + 1):
                return
            told: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(told, self._untold)
        else:
            told = [self._untold]
        self._untold = []
        for corpus, path, reason in chain.from_iterable(told):
            self.indices[corpus].reject_crop(path, reason)

    @property
    def files(self) -> dict[str, int]:
        """How many files the scan left out, by reason."""
        return dict(sum((index.left_out for index in self.indices.values()), Counter()))

    @property
    def crops(self) -> dict[str, int]:
        """How many crops were replaced, by reason."""
        return dict(sum((index.crops for index in self.indices.values()), Counter()))

    def state_dict(self) -> dict[str, Any]:
        """Replaced crops and the broken files that they were of, for each corpus."""
        return {name: {"crops": dict(index.crops), "broken": index.broken} for name, index in self.indices.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on counting from there."""
        for name, met in state_dict.items():
            self.indices[name].crops = Counter(met["crops"])
            self.indices[name].broken = dict(met["broken"])
