"""A toy training whose loss breaks at step 7 of 12."""

import math
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader

from callbacks import Checkpoints, FiniteLoss

BROKEN, STEPS = 7, 12


class Line(LightningModule):
    """The loss of step n is (w - n)^2, that of step 7 times `factor`."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.factor = factor

    def training_step(self, batch, batch_idx):
        step = self.global_step + 1
        return (self.weight - step).square() * (self.factor if step == BROKEN else 1.0)

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture
def train(tmp_path):
    """A function that trains with a validation and a checkpoint every few steps, and returns the weight."""

    def run(factor: float, *callbacks, log_every: int, epoch: int) -> float:
        trainer = Trainer(
            accelerator="cpu",
            default_root_dir=tmp_path,
            logger=False,
            max_steps=STEPS,
            max_epochs=-1,
            log_every_n_steps=log_every,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[*callbacks, Checkpoints(keep=-1)],
        )
        model = Line(factor)
        trainer.fit(model, DataLoader(range(epoch)), DataLoader(range(1)))
        return model.weight.item()

    return run


def saved_steps(folder: Path) -> list[int]:
    """Steps of the checkpoints, `last.ckpt` included."""
    return sorted(torch.load(p, weights_only=True)["global_step"] for p in (folder / "checkpoints").glob("*.ckpt"))


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    ("log_every", "epoch", "whole"),
    [
        (5, 6, [6, 6]),  # found when step 10 is logged
        (5, 3, [3, 6, 6]),  # found when the checkpoint of step 9 is to be written
        (1000, 6, [6, 6]),  # never logged: found at the checkpoint of step 12
        (7, 7, []),  # found at once, and the first checkpoint not written
    ],
)
def test_a_broken_loss_stops_the_training_before_a_checkpoint_holds_it(train, tmp_path, value, log_every, epoch, whole):
    with pytest.raises(RuntimeError, match="the loss of step 7 is not finite"):
        train(value, FiniteLoss(), log_every=log_every, epoch=epoch)
    assert saved_steps(tmp_path) == whole


def test_without_the_callback_the_broken_weights_would_be_saved(train, tmp_path):
    assert math.isnan(train(math.nan, log_every=5, epoch=6))
    assert math.isnan(torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]["weight"])


def test_a_finite_training_is_left_alone(train, tmp_path):
    weight = 0.0
    for step in range(1, STEPS + 1):
        weight -= 0.1 * 2 * (weight - step)
    assert train(1.0, FiniteLoss(), log_every=5, epoch=6) == pytest.approx(weight, rel=1e-5)
    assert saved_steps(tmp_path) == [6, 12, 12]
