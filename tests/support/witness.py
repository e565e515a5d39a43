"""What each process of a training has seen and ends with."""

from pathlib import Path

import torch
from lightning.pytorch import Callback


class Witness(Callback):
    """Writes `process=N.pt` into the run's folder: clips, matrices and losses of every batch, and the averaged weights.

    Weights are taken from the validation, in which the averaged ones are in place.
    """

    def __init__(self):
        self.batches, self.averaged = [], {}

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        clips = [(Path(origin.file).name, origin.start) for origin in batch.origins]
        self.batches.append((clips, batch.mixture.matrix, batch.losses))

    def on_validation_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0):
        self.averaged = {name: value.clone() for name, value in module.state_dict().items()}

    def on_train_end(self, trainer, module):
        path = Path(trainer.default_root_dir) / f"process={trainer.global_rank}.pt"
        torch.save((self.batches, self.averaged), path)
