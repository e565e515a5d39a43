"""Trainings whose numbers break at a known step and row, and what is left of them."""

import math
import warnings
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.utils._python_dispatch import TorchDispatchMode

from callbacks import Checkpoints, FiniteLoss, Gain, Materialize, PeakLimit
from datamodules import AudioDataModule
from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.broken_step import BrokenStep
from lincae.cli import replay as command
from lincae.cli.replay import row_lines
from lincae.module import ImplicitLinearity
from lincae.networks.sizes import NetworkSizes
from lincae.replay import replay
from lincae.settings import settings_of
from lincae.stft import Spectrogram

BROKEN, STEPS, ROW = 5, 8, 2


class Poison(Callback):
    """Puts a number into clip 2 at the fifth step, or at all steps from there."""

    def __init__(self, value: float, micro_batch: int = 0, for_ever: bool = False) -> None:
        self.value, self.micro_batch, self.for_ever = value, micro_batch, for_ever

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        step = trainer.global_step + 1
        if batch_idx % trainer.accumulate_grad_batches == self.micro_batch and (
            step == BROKEN or (self.for_ever and step > BROKEN)
        ):
            batch.mixture.sources[ROW, 700] = self.value


class BrokenGradient(Callback):
    """An infinite gradient of one weight at the fifth step, behind a finite loss."""

    def on_after_backward(self, trainer, pl_module):
        if trainer.global_step + 1 == BROKEN:
            next(pl_module.parameters()).grad.view(-1)[0] = math.inf


class Weights(Callback):
    """Copies of the weights and of the optimiser's first moments after each step."""

    def __init__(self) -> None:
        self.after, self.moments = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.after.append({name: p.detach().clone() for name, p in pl_module.autoencoder.named_parameters()})
        states = trainer.optimizers[0].state_dict()["state"]
        self.moments.append({name: state["exp_avg"].clone() for name, state in states.items()})


def tiny_autoencoder() -> ConsistencyAutoencoder:
    torch.manual_seed(0)
    sizes = NetworkSizes(
        widths=(8, 8),
        strides=((2, 2),),
        attention=(False, True),
        heads=2,
        latents=4,
        bottleneck=8,
        bottleneck_blocks=1,
        unet_blocks=1,
        embedding=16,
    )
    return ConsistencyAutoencoder(Spectrogram(hop=128, window=512, fold=8), sizes)


@pytest.fixture
def train(tmp_path, music):
    """A function that trains a tiny model on files; returns the module and the trainer."""

    def run(*callbacks, resume=None, **settings):
        autoencoder = tiny_autoencoder()
        module = ImplicitLinearity(autoencoder)
        module.config = {  # as `lincae fit` has it
            "model": {"init_args": {"autoencoder": settings_of(autoencoder), "channels_last": False}},
            "trainer": {"precision": settings.get("precision"), "deterministic": None, "benchmark": None},
        }
        data = AudioDataModule(str(music), samples=2432, batch_size=4, steps_per_epoch=2, num_workers=0)
        trainer = Trainer(
            accelerator="cpu",
            default_root_dir=tmp_path,
            logger=False,
            max_steps=STEPS,
            max_epochs=-1,
            limit_val_batches=0,
            use_distributed_sampler=False,
            reload_dataloaders_every_n_epochs=1,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[Gain(), PeakLimit(), *callbacks],
            **{"enable_checkpointing": any(isinstance(c, Checkpoints) for c in callbacks), **settings},
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer.fit(module, data, ckpt_path=resume, weights_only=True)
        return module, trainer

    return run


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_run_stops_at_that_step_with_the_weights_before_it(train, tmp_path, value):
    before, after = Weights(), Weights()
    train(before)
    with pytest.raises(RuntimeError, match=rf"loss of step 5 is not finite.*lincae replay {tmp_path}/broken/step=5"):
        train(Poison(value), after, FiniteLoss(), Checkpoints())
    assert len(after.after) == 4
    broken = BrokenStep.load(tmp_path / "broken" / "step=5.pt")
    assert broken.weights.keys() == dict(tiny_autoencoder().state_dict()).keys()
    for name, weight in before.after[3].items():
        assert torch.equal(broken.weights[name], weight)
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 4
    assert all(value.isfinite().all() for value in saved["current_model_state"].values())


def test_an_infinite_gradient_stops_it_too(train, tmp_path):
    with pytest.raises(RuntimeError, match="the gradient of step 5 is not finite"):
        train(BrokenGradient(), FiniteLoss())
    assert BrokenStep.load(tmp_path / "broken" / "step=5.pt").losses.isfinite().all()


def test_without_the_callback_the_weights_would_break(train):
    module, _ = train(Poison(math.nan))
    assert not all(p.isfinite().all() for p in module.parameters())


def test_a_finite_training_is_left_alone(train, tmp_path):
    alone, watched = Weights(), Weights()
    train(alone)
    train(watched, FiniteLoss())
    torch.testing.assert_close(watched.after, alone.after, rtol=0, atol=0)
    assert not (tmp_path / "broken").exists()


def test_the_file_says_which_clips_gains_and_draws_they_were(train, tmp_path, music):
    with pytest.raises(RuntimeError):
        train(Poison(math.nan), FiniteLoss())
    broken = BrokenStep.load(tmp_path / "broken" / "step=5.pt")
    assert (broken.step, broken.micro_batch, broken.process) == (5, 0, 0)
    assert broken.progress == 4 / STEPS
    assert (broken.seed, broken.groups) == (0, [4])
    assert broken.gain_range == pytest.approx((0.3887395, 2.2225209), abs=1e-6)  # half a cosine at (0.5 - 0.2) / 0.7
    assert broken.matrix.shape == (8, 4)
    assert {Path(file) for file, _ in broken.origins} <= set(music.rglob("*"))
    assert broken.losses.shape == (8,)

    data = AudioDataModule(str(music), samples=2432, batch_size=4)
    data.setup("fit")
    for place, (file, start) in enumerate(broken.origins):
        crop = data._crops(4 * (BROKEN - 1) + place)
        assert (file, start) == (crop.file.location, crop.start)
        clip = torch.from_numpy(data.reader(crop))
        if place == ROW:
            clip[700] = math.nan
        torch.testing.assert_close(broken.sources[place], clip, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_replay_gives_the_same_losses_bit_for_bit(train, tmp_path, precision):
    with pytest.raises(RuntimeError):
        train(BrokenGradient(), FiniteLoss(), precision=precision)
    broken = BrokenStep.load(tmp_path / "broken" / "step=5.pt")
    found = replay(broken, "cpu")
    assert torch.equal(found.losses, broken.losses)
    assert (found.forward, found.gradients) == ([], [])


def test_the_command_names_the_first_tensor_the_rows_and_the_files(train, tmp_path, capsys):
    with pytest.raises(RuntimeError):
        train(Poison(math.nan), FiniteLoss())
    file = tmp_path / "broken" / "step=5.pt"
    broken = BrokenStep.load(file)
    command.main([str(file)])
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert "loss in the run nan, here nan: all rows are the same, bit for bit" in lines[2]
    assert lines[4].startswith("  clips: 1 of 9,728 values, in rows 2")
    path, start = broken.origins[ROW]
    assert f"clips that are not finite:\n  {path} at sample {start:,}\n" in printed
    assert "gradients, of " in printed


def test_rows_are_named_by_the_clips_and_gains_that_they_are_made_of(train, tmp_path, capsys):
    """Losses of two rows break by themselves: those of the plain clip and of a mix."""

    class Losses(Callback):
        def on_after_backward(self, trainer, pl_module):
            if trainer.global_step + 1 == BROKEN:
                seen[0].losses[[1, 5]] = math.inf

        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            seen[:] = [batch]

    seen = []
    with pytest.raises(RuntimeError):
        train(Losses(), FiniteLoss())
    broken = BrokenStep.load(tmp_path / "broken" / "step=5.pt")
    lines = row_lines(broken, broken.losses, [1, 5])
    (one, two), matrix = broken.origins[:2], broken.matrix
    assert lines[0].startswith(f"row 1: loss inf = {matrix[1, 1]:+.4g} x {two[0]} at sample {two[1]:,}")
    mixed = [f"{matrix[5, place]:+.4g} x {file} at sample {start:,}" for place, (file, start) in enumerate((one, two))]
    assert lines[1] == f"row 5: loss inf = {' '.join(mixed)}"
    command.main([str(tmp_path / "broken" / "step=5.pt")])
    assert "2 are finite in one only" in capsys.readouterr().out


def test_the_command_says_where_a_gradient_breaks(train, tmp_path, capsys):
    """Weights so large that a square overflows."""

    class Blow(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if trainer.global_step + 1 == BROKEN:
                with torch.no_grad():
                    pl_module.autoencoder.encoder.conv_in.weight.fill_(1e30)

    with pytest.raises(RuntimeError):
        train(Blow(), FiniteLoss())
    command.main([str(tmp_path / "broken" / "step=5.pt")])
    printed = capsys.readouterr().out
    first = printed.split("in the order of the step:\n")[1].splitlines()[0]
    assert first.startswith("  output of encoder.blocks.0.")
    assert "all rows are the same, bit for bit" in printed
    assert "  gradient of denoiser." in printed


def test_materialized_mixes_are_listed_by_their_clips(train, tmp_path, capsys):
    with pytest.raises(RuntimeError):
        train(Materialize(), Poison(math.nan), FiniteLoss())
    command.main([str(tmp_path / "broken" / "step=5.pt")])
    printed = capsys.readouterr().out
    assert "row 2: loss nan = +1 x mix 2 of the batch" in printed
    listed = printed.split("clips that were mixed before the encoder:\n")[1].splitlines()
    assert len(listed) == 4


def test_a_file_that_is_no_broken_step_is_refused(tmp_path, capsys):
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    with pytest.raises(SystemExit) as end:
        command.main([str(tmp_path / "other.pt")])
    assert end.value.code == 2
    assert "holds no broken step" in capsys.readouterr().err


@pytest.mark.parametrize("micro_batch", [0, 1, 2])
def test_of_accumulated_batches_the_one_that_broke_is_kept(train, tmp_path, micro_batch):
    with pytest.raises(RuntimeError, match="the loss of step 5"):
        train(Poison(math.nan, micro_batch), FiniteLoss(), accumulate_grad_batches=3)
    broken = BrokenStep.load(tmp_path / "broken" / "step=5.pt")
    assert broken.micro_batch == micro_batch
    assert broken.groups == [3 * (BROKEN - 1) + micro_batch]
    assert not broken.losses.isfinite().all()


# ------------------------------------------------------------------------------------------------------------- skipping


def test_a_skipped_step_changes_neither_weights_nor_moments(train, tmp_path):
    weights, guard = Weights(), FiniteLoss(skip=1)
    _, trainer = train(Poison(math.nan), weights, guard, Checkpoints(keep=-1), gradient_clip_val=1.0)
    assert trainer.global_step == STEPS
    assert guard.skipped == 1
    for states in (weights.after, weights.moments):
        torch.testing.assert_close(states[BROKEN - 1], states[BROKEN - 2], rtol=0, atol=0)
        assert any(not torch.equal(value, states[BROKEN - 1][name]) for name, value in states[BROKEN].items())
    assert all(value.isfinite().all() for value in weights.after[-1].values())
    counts = {
        step: torch.load(tmp_path / "checkpoints" / f"step={step}.ckpt", weights_only=True)["callbacks"]["FiniteLoss"]
        for step in (4, 6)
    }
    assert counts == {4: {"skipped": 0}, 6: {"skipped": 1}}
    assert (tmp_path / "broken" / "step=5.pt").exists()


def test_no_more_steps_are_skipped_than_allowed_even_across_a_resume(train, tmp_path):
    with pytest.raises(RuntimeError, match="the loss of step 7 is not finite"):
        train(Poison(math.nan, for_ever=True), FiniteLoss(skip=2), Checkpoints())
    assert sorted(path.name for path in (tmp_path / "broken").iterdir()) == ["step=5.pt", "step=7.pt"]
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 6
    guard = FiniteLoss(skip=3)
    with pytest.raises(RuntimeError, match="the loss of step 8 is not finite"):
        train(Poison(math.nan, for_ever=True), guard, resume=last)
    assert guard.skipped == 3


def test_skipped_steps_are_in_the_log(train):
    seen = []

    class Look(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            seen.append(float(trainer.callback_metrics["train/skipped_steps"]))

    train(Poison(math.nan), FiniteLoss(skip=1), Look())
    assert seen == [0, 0, 0, 0, 1, 1, 1, 1]


def test_skipping_is_refused_where_a_scaler_skips(train):
    class Scaled(MixedPrecision):
        def __init__(self):
            super().__init__("bf16-mixed", "cpu")
            self.scaler = torch.amp.GradScaler("cpu")

    with pytest.raises(MisconfigurationException, match="skip is 1, but the loss scaling of 16-mixed"):
        train(FiniteLoss(skip=1), plugins=[Scaled()])


def test_less_than_no_steps_are_refused():
    with pytest.raises(ValueError, match="skip must be 0 or more, got -1"):
        FiniteLoss(skip=-1)


def test_weights_that_are_not_finite_are_never_saved(train, tmp_path):
    class Break(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if trainer.global_step == 2:  # when a checkpoint is due
                with torch.no_grad():
                    next(pl_module.parameters()).view(-1)[0] = math.nan

    with pytest.raises(RuntimeError, match="the weights after step 2 are not finite"):
        train(FiniteLoss(), Break(), Checkpoints())
    assert not list(tmp_path.rglob("*.ckpt"))


# -------------------------------------------------------------------------------------------------- what the host waits


class Fetches(TorchDispatchMode):
    """Counts how often numbers leave the device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += "_local_scalar_dense" in str(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("accumulate", [1, 4])
def test_the_host_fetches_nothing_but_the_verdicts_of_a_step(train, accumulate, monkeypatch):
    """`tolist` is the only fetch, and comes once for an optimiser step."""
    lists, scalars = [], []
    tolist = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: lists.append(tuple(tensor.shape)) or tolist(tensor))

    class Counted(FiniteLoss):
        pass

    for hook in ("on_train_batch_start", "on_after_backward", "on_before_optimizer_step", "on_train_batch_end"):

        def counted(self, *arguments, hook=hook):
            with Fetches() as fetches:
                getattr(FiniteLoss, hook)(self, *arguments)
            scalars.append(fetches.count)

        setattr(Counted, hook, counted)
    train(Counted(), accumulate_grad_batches=accumulate)
    assert sum(scalars) == 0
    assert [shape for shape in lists if shape == (1, accumulate)] == STEPS * [(1, accumulate)]


def test_the_default_configuration_watches_without_skipping():
    config = yaml.safe_load((Path(__file__).parents[2] / "configs" / "lincae.yaml").read_text())
    assert config["callbacks"]["finite_loss"] == {"class_path": "callbacks.FiniteLoss", "init_args": {"skip": 0}}
