"""Runs of 12 steps, validated after 5, 10 and 12, that are stopped everywhere and must end as if they never were."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers.logger import DummyLogger
from torch import nn

from callbacks import Checkpoints, Gain, PeakLimit, ReconstructionFigures, StopAfter
from datamodules import AudioDataModule
from lincae.checkpoint_files import steps_in
from lincae.checkpoint_io import AtomicCheckpointIO
from lincae.ema import EMA
from lincae.module import ImplicitLinearity

pytestmark = pytest.mark.filterwarnings("ignore")

STEPS, EPOCH = 12, 5
END = f"checkpoints/step={STEPS}.ckpt"


class Toy(nn.Module):
    """Enc(x) = W x on frames of 16 samples, Dec(z) = W^T z, and a loss with random weights."""

    sample_rate, margin = 16_000, 0

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(0.2 * torch.randn(3, 16, generator=torch.Generator().manual_seed(1)))

    def encode(self, audio):
        return self.weight @ audio.unflatten(-1, (16, -1))

    def sample_noise(self, latents, draws, steps=1):
        return None

    def decode(self, latents, noise=None, steps=1):
        return (self.weight.T @ latents).flatten(1)

    def training_loss(self, condition, targets, progress, draws):
        return (self.decode(condition) - targets).square().mean(dim=1) * draws.uniform("weight", len(targets))


class Rows(DummyLogger):
    """Keeps what is logged, but for times."""

    def __init__(self):
        self.rows = []

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, metrics))


class Signal(Callback):
    """Signals this process after a step, in the batches of a validation loader after it, or after the validation."""

    def __init__(self, step, when="step", number=signal.SIGUSR1):
        self.step, self.when, self.number = step, when, number

    def _send(self, trainer, when):
        if (trainer.global_step, when) == (self.step, self.when):
            os.kill(os.getpid(), self.number)

    def on_train_batch_end(self, trainer, *_):
        self._send(trainer, "step")

    def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0):
        self._send(trainer, f"loader {dataloader_idx}")

    def on_validation_epoch_end(self, trainer, *_):
        self._send(trainer, "validated")


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    for number in range(4):
        soundfile.write(folder / f"{number}.wav", 0.3 * np.random.default_rng(number).standard_normal(16_000), 16_000)
    return str(folder)


@pytest.fixture(scope="module")
def train(sounds):
    """A function that trains, and returns what was logged and the exit status."""

    def run(folder: Path, *callbacks: Callback, resume: str | None = None, accumulate: int = 1, workers: int = 0):
        data = AudioDataModule(
            sounds,
            sample_rate=16_000,
            samples=1536,
            batch_size=4,
            group_size=2,
            steps_per_epoch=EPOCH,
            validation_clips=4,
            validation_tracks=2,
            sources_per_track=2,
            validation_batch_size=2,
            num_workers=workers,
        )
        optimizer = lambda parameters: torch.optim.RAdam(parameters, lr=0.05)  # noqa: E731
        logger, status = Rows(), 0
        trainer = Trainer(
            accelerator="cpu",
            logger=logger,
            default_root_dir=folder,
            max_steps=STEPS,
            max_epochs=-1,
            log_every_n_steps=1,
            accumulate_grad_batches=accumulate,
            reload_dataloaders_every_n_epochs=1,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[Gain(), PeakLimit(), ReconstructionFigures(), *callbacks],
            plugins=[AtomicCheckpointIO()],
        )
        path = None if resume is None else folder / "checkpoints" / resume
        try:
            trainer.fit(ImplicitLinearity(Toy(), optimizer, ema=EMA(every=2)), data, ckpt_path=path)
        except SystemExit as end:
            status = end.code
        return logger.rows, status

    return run


@pytest.fixture(scope="module")
def whole(train, tmp_path_factory):
    """A run that was never stopped, with a checkpoint of every step."""
    return run_whole(train, tmp_path_factory.mktemp("whole"), accumulate=1)


def run_whole(train, folder: Path, accumulate: int):
    rows, status = train(folder, Checkpoints(keep=-1, every_n_train_steps=1), accumulate=accumulate)
    assert status == 0
    assert steps_in(folder / "checkpoints") == list(range(1, STEPS + 1))
    assert {step + 1 for step, metrics in rows if any(name.startswith("val/") for name in metrics)} == {5, 10, 12}
    return SimpleNamespace(rows=rows, end=folder / END, folder=folder / "checkpoints")


STOPS = [
    *(Signal(step) for step in (1, 3, 4, 5, 6, 10, 11)),
    *(Signal(step, when) for step in (5, 10) for when in ("loader 0", "loader 1", "validated")),
    Signal(7, number=signal.SIGTERM),
    Signal(8, number=signal.SIGINT),
]


def described(stop: Signal) -> str:
    return f"{stop.number.name} at {stop.step}, {stop.when}"


@pytest.mark.parametrize("stop", STOPS, ids=described)
def test_a_run_stopped_by_a_signal_goes_on_as_if_it_never_was(whole, train, tmp_path, stop, training_state):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    rows, status = train(tmp_path, stop, Checkpoints())
    signal.signal(signal.SIGINT, before)
    assert status == (130 if stop.number == signal.SIGINT else 75)
    assert steps_in(tmp_path / "checkpoints")[-1] == stop.step
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    more, status = train(tmp_path, Checkpoints(), resume="last.ckpt", workers=2 if stop.number == signal.SIGTERM else 0)
    assert status == 0
    assert rows + more == whole.rows
    assert training_state(tmp_path / END) == training_state(whole.end)


@pytest.mark.parametrize("stop", [Signal(5), Signal(7), Signal(10, "loader 1")], ids=described)
def test_a_step_of_several_batches_is_never_cut(train, tmp_path, stop, training_state):
    whole = run_whole(train, tmp_path / "whole", accumulate=2)
    rows, status = train(tmp_path, stop, Checkpoints(), accumulate=2)
    assert status == 75
    more, _ = train(tmp_path, Checkpoints(), resume="last.ckpt", accumulate=2)
    assert rows + more == whole.rows
    assert training_state(tmp_path / END) == training_state(whole.end)


@pytest.mark.parametrize("step", [1, 4, 5, 6, 10, 11])
def test_a_killed_run_goes_on_from_any_checkpoint(whole, train, tmp_path, step, training_state):
    (tmp_path / "checkpoints").mkdir()
    name = f"step={step}.ckpt"
    (tmp_path / "checkpoints" / name).write_bytes((whole.folder / name).read_bytes())
    rows, _ = train(tmp_path, Checkpoints(), resume=name)
    assert rows == [(at, metrics) for at, metrics in whole.rows if at >= step]
    assert training_state(tmp_path / END) == training_state(whole.end)


@pytest.mark.parametrize("step", [3, 5, 11])
def test_a_run_that_stops_by_itself_is_validated_there_and_goes_on(whole, train, tmp_path, step, training_state):
    rows, status = train(tmp_path, StopAfter(step), Checkpoints())
    assert status == 0
    more, _ = train(tmp_path, Checkpoints(), resume="last.ckpt")
    assert [row for row in rows + more if row in whole.rows] == whole.rows
    extra = [at for at, metrics in rows + more if (at, metrics) not in whole.rows]
    assert extra == ([] if step == EPOCH else [step - 1])
    assert training_state(tmp_path / END) == training_state(whole.end)


@pytest.mark.parametrize("stop", [Signal(12), Signal(12, "loader 1")], ids=lambda stop: stop.when)
def test_a_run_that_is_through_ends_as_such_in_spite_of_a_signal(whole, train, tmp_path, stop):
    rows, status = train(tmp_path, stop, Checkpoints())
    assert (rows, status) == (whole.rows, 0)


# When and what


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, [10, 12]),  # after validations
        ({"keep": -1}, [5, 10, 12]),
        ({"keep": 3, "every_n_train_steps": 4}, [8, 10, 12]),
        ({"keep": -1, "every_minutes": 0}, list(range(1, 13))),
        ({"keep": -1, "every_minutes": None}, [5, 10, 12]),
    ],
)
def test_the_newest_are_kept_and_the_last_is_a_link_to_them(train, tmp_path, settings, steps):
    train(tmp_path, Checkpoints(**settings))
    folder = tmp_path / "checkpoints"
    assert steps_in(folder) == steps
    assert os.readlink(folder / "last.ckpt") == "step=12.ckpt"
    assert len(list(folder.iterdir())) == len(steps) + 1


def test_minutes_are_counted_from_the_last_checkpoint(train, tmp_path, monkeypatch):
    """A clock that goes on by 20 s whenever it is asked, once a step and once a checkpoint."""
    now = iter(range(0, 100_000, 20))
    monkeypatch.setattr("callbacks.checkpoints.time", SimpleNamespace(monotonic=lambda: next(now)))
    train(tmp_path, Checkpoints(keep=-1, every_minutes=1))
    assert steps_in(tmp_path / "checkpoints") == [3, 5, 8, 10, 12]


def test_what_a_killed_run_left_half_written_is_removed(train, tmp_path):
    partial = tmp_path / "checkpoints" / ".step=3.ckpt.partial"
    partial.parent.mkdir()
    partial.write_bytes(b"PK")
    train(tmp_path, Checkpoints())
    assert not partial.exists()


def test_another_error_saves_nothing(train, tmp_path):
    class Breaks(Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == 8:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(tmp_path, Breaks(), Checkpoints())
    assert steps_in(tmp_path / "checkpoints") == [5]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keep": 1}, "keep must be 2 or more, or -1 for all, got 1: the newest checkpoint may be damaged"),
        ({"keep": 0}, "keep must be 2 or more"),
        ({"every_n_train_steps": 0}, "every_n_train_steps must be 1 or more, got 0"),
        ({"every_minutes": -1}, "every_minutes must be 0 or more, got -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Checkpoints(**settings)
