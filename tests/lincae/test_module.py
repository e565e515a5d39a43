"""Training with a linear toy autoencoder: every schedule, average and checkpoint against a computation by hand."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.strategies import FSDPStrategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from callbacks import Checkpoints, Gain, Materialize, PeakLimit, StopAfter
from lincae.ema import EMA, AveragedWeights
from lincae.mixing import Batch, CircularShift, Mixture
from lincae.module import ImplicitLinearity, reference_optimizer
from lincae.provenance import provenance
from lincae.schedules import GainSchedule, LearningRateSchedule
from lincae.streams import Draws
from lincae.weight_order import order_weights

FRAME, SAMPLES, SOURCES = 16, 64, 4


class Toy(nn.Module):
    """Enc(x) = W x on frames of 16 samples, Dec(z) = W^T z, loss the mean squared error."""

    sample_rate = 8000
    margin = 0

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.2 * torch.randn(3, FRAME, generator=torch.Generator().manual_seed(1)))

    def encode(self, audio: Tensor) -> Tensor:
        return self.weight @ audio.unflatten(-1, (FRAME, -1))

    def sample_noise(self, latents: Tensor, draws: Draws, steps: int = 1) -> None:
        return None

    def decode(self, latents: Tensor, noise: None = None, steps: int = 1) -> Tensor:
        return (self.weight.T @ latents).flatten(1)

    def training_loss(self, condition: Tensor, targets: Tensor, progress: Tensor, draws: Draws) -> Tensor:
        return (self.decode(condition) - targets).square().mean(dim=1)


class Batches(Dataset):
    """Batch number i, a pure function of i: two groups of two clips and their circular-shift mixes."""

    def __getitem__(self, index: int) -> Batch:
        draws = Draws(0, [2 * index, 2 * index + 1])
        clips = 0.5 * draws.normal("clip", SOURCES, SAMPLES)
        return Batch(Mixture(clips, CircularShift()(SOURCES, draws)), draws)


class Clips(Dataset):
    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"audio": Draws(1, [index]).normal("clip", 1, SAMPLES)[0], "index": torch.tensor(index)}

    def __len__(self) -> int:
        return 2


class Numbers(Sampler[int]):
    """The numbers of an epoch's batches, of which a resumed run has seen some."""

    def __init__(self, start: int, stop: int, length: int) -> None:
        self.start, self.stop, self.length = start, stop, length

    def __iter__(self):
        return iter(range(self.start, self.stop))

    def __len__(self) -> int:
        return self.length


class Data(LightningDataModule):
    def __init__(self, steps_per_epoch: int = 10, validation: bool = False) -> None:
        super().__init__()
        self.steps_per_epoch, self.validation = steps_per_epoch, validation

    def train_dataloader(self) -> DataLoader:
        start = self.trainer.global_step * self.trainer.accumulate_grad_batches
        stop = start - start % self.steps_per_epoch + self.steps_per_epoch
        return DataLoader(Batches(), batch_size=None, sampler=Numbers(start, stop, self.steps_per_epoch))

    def val_dataloader(self) -> DataLoader | list:
        return DataLoader(Clips(), batch_size=2) if self.validation else []

    def transfer_batch_to_device(self, batch, device, dataloader_idx: int):
        return batch  # made where it is used


class Recorder(Callback):
    """Weights after each step, loss of each step, everything that was logged, weights in each validation."""

    def __init__(self) -> None:
        self.weights, self.losses, self.logged, self.validated = [], [], [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.weights.append(pl_module.autoencoder.weight.detach().clone())
        self.losses.append(outputs["loss"].item())
        self.logged.append({name: value.item() for name, value in trainer.callback_metrics.items()})

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
        self.validated.append(pl_module.autoencoder.weight.detach().clone())


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.3)


def make_module(**settings) -> ImplicitLinearity:
    return ImplicitLinearity(Toy(), **{"optimizer": sgd, **settings})


def make_trainer(folder: Path, *callbacks: Callback, **settings) -> Trainer:
    defaults = {
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": any(isinstance(c, Checkpoint) for c in callbacks),
        "reload_dataloaders_every_n_epochs": 1,
        "num_sanity_val_steps": 0,
        "default_root_dir": folder,
    }
    return Trainer(**{**defaults, **settings}, callbacks=list(callbacks))


def fit(folder: Path, *callbacks: Callback, module=None, data=None, **settings):
    """Train; returns the recorder, the module and the trainer."""
    recorder, module = Recorder(), module or make_module()
    trainer = make_trainer(folder, *callbacks, recorder, **settings)
    trainer.fit(module, data or Data())
    return recorder, module, trainer


def saved(trainer: Trainer, folder: Path) -> dict:
    trainer.save_checkpoint(folder / "saved.ckpt")
    return torch.load(folder / "saved.ckpt", weights_only=True)


# ------------------------------------------------------------------------------------------------------------- the step


def loss_by_hand(weight: Tensor, batch: Batch) -> float:
    """Mean over rows of |W^T sum_s A_ns W x_s - sum_s A_ns x_s|^2 / T, one row after another."""
    weight, losses = weight.double(), []
    for row in batch.mixture.matrix.double():
        latent, target = 0.0, 0.0
        for share, clip in zip(row, batch.mixture.sources.double(), strict=True):
            clip = clip.view(FRAME, -1)
            latent = latent + share * (weight @ clip)
            target = target + share * clip
        losses.append((weight.T @ latent - target).square().mean())
    return torch.stack(losses).mean().item()


def test_the_loss_of_a_step_is_the_one_written_by_hand(tmp_path):
    start = Toy().weight.detach().clone()
    recorder, _, _ = fit(tmp_path, max_steps=6)
    before = [start, *recorder.weights[:-1]]
    expected = [loss_by_hand(weight, Batches()[i]) for i, weight in enumerate(before)]
    assert recorder.losses == pytest.approx(expected, rel=1e-5)
    assert not torch.equal(recorder.weights[-1], start)


def test_the_encoder_sees_clips_and_not_their_gains(tmp_path):
    seen = {}

    class Spy(Toy):
        def encode(self, audio):
            seen["encoded"] = audio
            return super().encode(audio)

        def training_loss(self, condition, targets, progress, draws):
            seen.update(condition=condition, targets=targets, progress=progress, draws=draws)
            return super().training_loss(condition, targets, progress, draws)

    module = ImplicitLinearity(Spy(), sgd, gain_schedule=GainSchedule(2, 2, anneal=False))
    weight = module.autoencoder.weight.detach().clone()
    fit(tmp_path, Gain(probability=1), module=module, max_steps=1)
    batch = Batches()[0]
    assert torch.equal(seen["encoded"], batch.mixture.sources)
    torch.testing.assert_close(seen["targets"], 2 * batch.mixture.targets)
    latents = weight @ batch.mixture.sources.unflatten(-1, (FRAME, -1))
    torch.testing.assert_close(seen["condition"], 2 * torch.einsum("ns,sdl->ndl", batch.mixture.matrix, latents))
    assert seen["draws"] == batch.draws


def test_progress_given_to_the_loss_is_a_tensor_that_counts_steps(tmp_path):
    seen = []

    class Spy(Toy):
        def training_loss(self, condition, targets, progress, draws):
            seen.append(progress)
            return super().training_loss(condition, targets, progress, draws)

    fit(tmp_path, module=ImplicitLinearity(Spy(), sgd), max_steps=4)
    assert all(isinstance(progress, Tensor) and progress.shape == () for progress in seen)
    assert [progress.item() for progress in seen] == [0, 0.25, 0.5, 0.75]


def test_what_is_logged(tmp_path):
    recorder, module, _ = fit(tmp_path, Gain(), PeakLimit(), max_steps=40)
    for step, logged in enumerate(recorder.logged):
        low, high = GainSchedule()(step / 40)
        assert logged["train/gain_low"] == pytest.approx(low)
        assert logged["train/gain_high"] == pytest.approx(high)
        assert logged["train/learning_rate"] == pytest.approx(0.3 * LearningRateSchedule()(step / 40), rel=1e-5)
        assert logged["train/loss"] == pytest.approx(recorder.losses[step])
        assert logged["train/ema_updates"] == step // 10
        assert 0 <= logged["train/capped_rows"] <= 1
    assert module.progress == 1
    assert module.gain_range == (1, 1)


def test_the_logged_gradient_norm_and_latent_spread(tmp_path):
    """The first step, from the gradient of a loss written anew."""
    recorder, _, _ = fit(tmp_path, max_steps=1, gradient_clip_val=1e-3)
    toy, mixture = Toy(), Batches()[0].mixture
    latents = toy.encode(mixture.sources)
    condition = torch.einsum("ns,sdl->ndl", mixture.matrix, latents)
    (toy.decode(condition) - mixture.matrix @ mixture.sources).square().mean().backward()
    assert recorder.logged[0]["train/gradient_norm"] == pytest.approx(toy.weight.grad.norm().item(), rel=1e-5)
    assert recorder.logged[0]["train/latent_std"] == pytest.approx(latents.std().item(), rel=1e-5)


def test_schedules_of_the_autoencoder_are_logged(tmp_path):
    class Scheduled(Toy):
        def schedules(self, progress):
            return {"step_size": 10 * progress}

    recorder, _, _ = fit(tmp_path, module=ImplicitLinearity(Scheduled(), sgd), max_steps=4)
    assert [logged["train/step_size"] for logged in recorder.logged] == pytest.approx([0, 2.5, 5, 7.5])


def test_schedules_count_optimiser_steps_and_not_batches(tmp_path):
    module = make_module(ema=EMA(every=2))
    recorder, _, _ = fit(tmp_path, module=module, max_steps=4, accumulate_grad_batches=2)
    assert len(recorder.losses) == 8
    rates = [0.3 * LearningRateSchedule()(step / 4) for step in (0, 0, 1, 1, 2, 2, 3, 3)]
    assert [logged["train/learning_rate"] for logged in recorder.logged] == pytest.approx(rates, rel=1e-5)
    assert [logged["train/ema_updates"] for logged in recorder.logged] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert module._averaged.updates == 2


def test_the_reference_optimiser():
    optimizer = reference_optimizer(Toy().parameters())
    assert isinstance(optimizer, torch.optim.RAdam)
    assert (optimizer.defaults["lr"], optimizer.defaults["betas"]) == (1e-4, (0.9, 0.999))
    assert optimizer.defaults["weight_decay"] == 0


def test_networks_are_compiled_once_training_starts(tmp_path):
    compiled = []

    class Network(nn.Linear):
        def compile(self, *args, **kwargs):
            compiled.append(self)

    toy = Toy()
    toy.first, toy.second, toy.third = Network(2, 2), Network(2, 2), Network(2, 2)
    toy.networks = lambda: [toy.first, toy.second]
    module = ImplicitLinearity(toy, sgd, compile=True)
    assert compiled == []
    fit(tmp_path, module=module, max_steps=1)
    assert compiled == [toy.first, toy.second]


@pytest.mark.parametrize(("wanted", "expected"), [(None, False), (False, False), (True, True)])
def test_order_of_weights_in_a_training_on_a_cpu(tmp_path, wanted, expected):
    """The average has the order of what it averages."""
    toy = Toy()
    toy.conv = nn.Conv2d(3, 5, 3)
    _, module, _ = fit(tmp_path, module=ImplicitLinearity(toy, sgd, channels_last=wanted), max_steps=1)
    for weight in (toy.conv.weight, module._averaged._average_model.module.autoencoder.conv.weight):
        assert weight.is_contiguous(memory_format=torch.channels_last) == expected


def test_order_of_weights_for_a_gpu():
    conv = nn.Conv2d(3, 5, 3)
    order_weights(conv, None, torch.device("cuda"))
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)


# --------------------------------------------------------------------------------------------------- length of training


def test_schedules_need_the_length_of_the_training(tmp_path):
    with pytest.raises(MisconfigurationException, match=r"trainer\.max_steps"):
        fit(tmp_path, max_steps=-1, max_epochs=1)


def test_two_lengths_that_contradict_each_other_are_refused(tmp_path):
    with pytest.raises(MisconfigurationException, match=r"total_steps is 800 but trainer\.max_steps is 40"):
        fit(tmp_path, module=make_module(total_steps=800), max_steps=40)


def test_two_lengths_that_agree(tmp_path):
    _, module, trainer = fit(tmp_path, module=make_module(total_steps=3), max_steps=3)
    assert trainer.global_step == 3
    assert module.progress == 1


def test_compiling_an_autoencoder_that_names_no_networks_is_refused(tmp_path):
    with pytest.raises(MisconfigurationException, match=r"Toy has no networks\(\)"):
        fit(tmp_path, module=ImplicitLinearity(Toy(), sgd, compile=True), max_steps=1)


def test_progress_is_unknown_before_training():
    with pytest.raises(RuntimeError, match="not attached to a `Trainer`"):
        _ = make_module().gain_range


# ----------------------------------------------------------------------------------------------------- averaged weights


def averages(start: Tensor, weights: list[Tensor], steps: list[int], decay: float) -> list[Tensor]:
    """The average after each update: the n-th keeps min(decay, (1 + n) / (10 + n)) of the old one."""
    average, history = start.double(), []
    for n, step in enumerate(steps, start=1):
        d = min(decay, (1 + n) / (10 + n))
        average = d * average + (1 - d) * weights[step - 1].double()
        history.append(average.float())
    return history


@pytest.mark.parametrize("decay", [0.9999, 0.2], ids=["warming up", "warmed up"])
def test_averaged_weights_follow_their_recursion(tmp_path, decay):
    start = Toy().weight.detach().clone()
    recorder, _, trainer = fit(tmp_path, module=make_module(ema=EMA(decay=decay, every=10)), max_steps=30)
    checkpoint = saved(trainer, tmp_path)
    expected = averages(start, recorder.weights, [10, 20, 30], decay)[-1]
    torch.testing.assert_close(checkpoint["state_dict"]["autoencoder.weight"], expected)
    assert (expected - recorder.weights[-1]).abs().max() > 1e-3  # the two are not the same thing


def encoded(weight: Tensor, clips: Tensor) -> Tensor:
    return weight.double() @ clips.double().unflatten(-1, (FRAME, -1))


def test_the_spread_of_latents_is_that_of_the_averaged_encoder_on_training_clips(tmp_path):
    """Moments with weights 4 / (n + 3), of the clips whatever augmentations make of them."""
    start = Toy().weight.detach().clone()
    recorder, _, trainer = fit(tmp_path, Materialize(), module=make_module(ema=EMA(decay=0.5, every=2)), max_steps=12)
    steps = range(2, 13, 2)
    mean = square = torch.zeros((), dtype=torch.float64)
    for n, average in enumerate(averages(start, recorder.weights, list(steps), 0.5), start=1):
        z = encoded(average, Batches()[2 * n - 1].mixture.sources)
        mean, square = mean.lerp(z.mean(), 4 / (n + 3)), square.lerp(z.square().mean(), 4 / (n + 3))
    expected = (square - mean.square()).sqrt().item()
    assert saved(trainer, tmp_path)["latent_std"] == pytest.approx(expected, rel=1e-5)


def test_latents_of_clips_that_no_training_heard_have_unit_variance(tmp_path):
    _, _, trainer = fit(tmp_path, module=make_module(ema=EMA(decay=0.9, every=1)), data=Data(500), max_steps=500)
    checkpoint = saved(trainer, tmp_path)
    held_out = torch.cat([Batches()[number].mixture.sources for number in range(1000, 2000)])
    latents = encoded(checkpoint["state_dict"]["autoencoder.weight"], held_out) / checkpoint["latent_std"]
    assert latents.var().item() == pytest.approx(1, abs=0.02)


def test_training_ends_with_the_trained_weights(tmp_path):
    recorder, module, trainer = fit(tmp_path, max_steps=30, data=Data(validation=True))
    checkpoint = saved(trainer, tmp_path)
    assert torch.equal(module.autoencoder.weight, recorder.weights[-1])
    assert torch.equal(checkpoint["current_model_state"]["autoencoder.weight"], recorder.weights[-1])
    assert checkpoint["total_steps"] == 30


def test_a_short_training_updates_at_its_planned_last_step(tmp_path):
    start = Toy().weight.detach().clone()
    recorder, _, trainer = fit(tmp_path, max_steps=5)
    expected = averages(start, recorder.weights, [5], 0.9999)[-1]
    torch.testing.assert_close(saved(trainer, tmp_path)["state_dict"]["autoencoder.weight"], expected)


def test_an_interrupted_training_does_not(tmp_path):
    start = Toy().weight.detach().clone()
    recorder, _, trainer = fit(tmp_path, StopAfter(5), max_steps=40)
    assert len(recorder.weights) == 5
    assert torch.equal(saved(trainer, tmp_path)["state_dict"]["autoencoder.weight"], start)


def test_validation_sees_averaged_weights_and_training_does_not(tmp_path):
    start = Toy().weight.detach().clone()
    recorder, _, _ = fit(tmp_path, max_steps=30, data=Data(validation=True))
    without, _, _ = fit(tmp_path, max_steps=30)
    torch.testing.assert_close(recorder.validated, averages(start, recorder.weights, [10, 20, 30], 0.9999))
    assert recorder.losses == without.losses
    assert torch.equal(torch.stack(recorder.weights), torch.stack(without.weights))


@pytest.mark.parametrize("exception", [RuntimeError, KeyboardInterrupt])
def test_a_validation_that_breaks_off_leaves_the_trained_weights(tmp_path, exception):
    class Breaks(Callback):
        def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
            raise exception

    start, module, recorder = Toy().weight.detach().clone(), make_module(), Recorder()
    rescue = ModelCheckpoint(tmp_path, filename="rescue", save_on_exception=True)
    trainer = make_trainer(tmp_path, recorder, Breaks(), rescue, max_steps=30)
    with pytest.raises((RuntimeError, SystemExit)):
        trainer.fit(module, Data(validation=True))
    assert len(recorder.weights) == 10
    assert torch.equal(module.autoencoder.weight, recorder.weights[-1])
    (file,) = tmp_path.glob("*.ckpt")
    checkpoint = torch.load(file, weights_only=True)
    assert torch.equal(checkpoint["current_model_state"]["autoencoder.weight"], recorder.weights[-1])
    expected = averages(start, recorder.weights, [10], 0.9999)[-1]
    torch.testing.assert_close(checkpoint["state_dict"]["autoencoder.weight"], expected)


def test_buffers_in_validation_are_those_of_training(tmp_path):
    class Counting(Toy):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.zeros(()))

        def training_loss(self, *arguments):
            self.count += 1
            return super().training_loss(*arguments)

    class Look(Callback):
        def on_validation_batch_end(self, trainer, pl_module, *arguments):
            seen.append(pl_module.autoencoder.count.item())

    seen = []
    module = ImplicitLinearity(Counting(), sgd)
    _, _, trainer = fit(tmp_path, Look(), module=module, max_steps=20, data=Data(validation=True))
    assert module.autoencoder.count == 20
    assert seen == [10, 20]
    assert saved(trainer, tmp_path)["state_dict"]["autoencoder.count"] == 20


@pytest.mark.parametrize("settings", [{"decay": 1.0}, {"decay": -0.1}, {"every": 0}])
def test_averages_that_make_no_sense_are_refused(settings):
    ((name, value),) = settings.items()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        EMA(**settings)


# --------------------------------------------------------------------------------------------------------------- resume


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("stop", [20, 23], ids=["between epochs", "inside an epoch"])
def test_a_resumed_run_is_the_run_that_was_never_stopped(tmp_path, stop, accumulate):
    settings = {"max_steps": 40, "max_epochs": -1, "accumulate_grad_batches": accumulate}
    adam = lambda parameters: torch.optim.RAdam(parameters, lr=0.05)  # noqa: E731
    augmentations = [Gain(), PeakLimit()]

    whole, _, trainer = fit(tmp_path / "whole", *augmentations, module=make_module(optimizer=adam), **settings)
    expected = saved(trainer, tmp_path)

    first, _, _ = fit(
        tmp_path, *augmentations, StopAfter(stop), Checkpoints(), module=make_module(optimizer=adam), **settings
    )
    assert len(first.weights) == stop * accumulate
    recorder, module = Recorder(), make_module(optimizer=adam)
    trainer = make_trainer(tmp_path, *augmentations, recorder, **settings)
    trainer.fit(module, Data(), ckpt_path=tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    checkpoint = saved(trainer, tmp_path)

    assert trainer.global_step == 40
    assert len(recorder.losses) == (40 - stop) * accumulate
    torch.testing.assert_close(first.weights + recorder.weights, whole.weights)
    assert first.losses + recorder.losses == pytest.approx(whole.losses)
    for name in ("train/learning_rate", "train/gain_low", "train/gain_high", "train/ema_updates", "train/capped_rows"):
        resumed = [logged[name] for logged in first.logged + recorder.logged]
        assert resumed == pytest.approx([logged[name] for logged in whole.logged]), name
    assert module._averaged.updates == 4
    for state in ("state_dict", "current_model_state"):
        torch.testing.assert_close(checkpoint[state], expected[state])


def test_a_run_cannot_be_resumed_with_another_length(tmp_path):
    fit(tmp_path, StopAfter(5), Checkpoints(), max_steps=40)
    trainer = make_trainer(tmp_path, max_steps=400)
    with pytest.raises(MisconfigurationException, match=r"planned for 40 steps, this run for 400.*max_steps=40"):
        trainer.fit(make_module(), Data(), ckpt_path=tmp_path / "checkpoints" / "last.ckpt")


def last(folder: Path) -> Path:
    return folder / "checkpoints" / "last.ckpt"


def test_an_extended_run_follows_the_schedules_of_its_new_length(tmp_path):
    fit(tmp_path, Checkpoints(), max_steps=20)
    recorder, module = Recorder(), make_module(extend=True)
    trainer = make_trainer(tmp_path, recorder, max_steps=40)
    with pytest.warns(UserWarning, match=r"EXTENDED from 20 to 40 steps, after step 20: .* 1\.000 to 0\.500"):
        trainer.fit(module, Data(), ckpt_path=last(tmp_path))
    rates = [0.3 * LearningRateSchedule()(step / 40) for step in range(20, 40)]
    assert [logged["train/learning_rate"] for logged in recorder.logged] == pytest.approx(rates, rel=1e-5)
    highs = [GainSchedule()(step / 40)[1] for step in range(20, 40)]
    assert [logged["train/gain_high"] for logged in recorder.logged] == pytest.approx(highs)
    assert saved(trainer, tmp_path)["total_steps"] == 40


def test_a_run_is_not_extended_to_a_length_that_it_has(tmp_path):
    fit(tmp_path, StopAfter(15), Checkpoints(), max_steps=20)
    trainer = make_trainer(tmp_path, max_steps=15)
    with pytest.raises(MisconfigurationException, match="15 steps is no extension of a training that has taken 15"):
        trainer.fit(make_module(extend=True), Data(), ckpt_path=last(tmp_path))


def test_a_checkpoint_of_another_network_is_refused_by_its_tensors(tmp_path):
    fit(tmp_path, Checkpoints(), max_steps=1)
    module = make_module()
    module.autoencoder.weight = nn.Parameter(torch.zeros(5, FRAME))
    with pytest.raises(MisconfigurationException, match=r"autoencoder\.weight \(3, 16\) for \(5, 16\).* its sizes"):
        make_trainer(tmp_path, max_steps=1).fit(module, Data(), ckpt_path=last(tmp_path))


def test_the_optimiser_of_a_resumed_run_has_the_settings_of_the_command_line(tmp_path):
    """The checkpoint has its own; of an unchanged run they are the same, bit by bit."""
    weights = {}
    for decay in (0.0, 0.3):
        recorder = Recorder()
        changed = lambda parameters: torch.optim.SGD(parameters, lr=0.2, weight_decay=decay)  # noqa: B023, E731
        folder = tmp_path / str(decay)
        fit(folder, StopAfter(20), Checkpoints(), max_steps=40)
        trainer = make_trainer(folder, recorder, max_steps=40)
        trainer.fit(make_module(optimizer=changed), Data(), ckpt_path=last(folder))
        rates = [0.2 * LearningRateSchedule()(step / 40) for step in range(20, 40)]
        assert [logged["train/learning_rate"] for logged in recorder.logged] == pytest.approx(rates, rel=1e-5)
        weights[decay] = recorder.weights[-1]
    assert weights[0.3].norm() < weights[0.0].norm()


def test_a_checkpoint_holds_what_it_was_made_with(tmp_path):
    _, _, trainer = fit(tmp_path, max_steps=1)
    assert saved(trainer, tmp_path)["provenance"] == provenance()


def test_a_checkpoint_is_validated_without_a_length(tmp_path):
    """And at its averaged weights."""
    recorder, _, trainer = fit(tmp_path, StopAfter(20), Checkpoints(), max_steps=40)
    average = saved(trainer, tmp_path)["state_dict"]["autoencoder.weight"]
    seen = Recorder()
    trainer = make_trainer(tmp_path, seen)
    trainer.validate(make_module(), Data(validation=True), ckpt_path=tmp_path / "checkpoints" / "last.ckpt")
    assert torch.equal(seen.validated[0], average)
    assert not torch.equal(average, recorder.weights[-1])


# ----------------------------------------------------------------------------------------------------------- validation


def test_validation_reconstructs_clips_and_the_mixes_of_tracks():
    module = make_module()
    stems = torch.randn(2, 3, SAMPLES, generator=torch.Generator().manual_seed(0))
    index = torch.tensor([1, 5])
    weight = module.autoencoder.weight
    for batch, audio in (({"audio": stems[:, 0]}, stems[:, 0]), ({"stems": stems}, stems.sum(dim=1))):
        clips = module.validation_step({**batch, "index": index}, 0)["clips"]
        assert torch.equal(clips.audio, audio)
        assert torch.equal(clips.index, index)
        expected = (weight.T @ weight @ audio.unflatten(-1, (FRAME, -1))).flatten(1)
        torch.testing.assert_close(clips.decoded, expected)


def test_strategies_that_shard_weights_are_refused():
    averaged = AveragedWeights(EMA(), total_steps=10)
    trainer = SimpleNamespace(strategy=FSDPStrategy.__new__(FSDPStrategy))
    with pytest.raises(MisconfigurationException, match="FSDPStrategy gives each process a part of the weights"):
        averaged.setup(trainer, ImplicitLinearity(Toy()), "fit")
