import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from datamodules.audio import AudioDataModule
from datamodules.corpus import Corpus
from datamodules.planning import make_plan
from datamodules.preparation import prepare
from datamodules.synthetic_data import SyntheticDataModule
from lincae.mixing import Batch, CircularShift, PlainClips
from lincae.streams import Draws

pytestmark = pytest.mark.filterwarnings("ignore")

SETTINGS = dict(
    sample_rate=16_000,
    samples=500,
    batch_size=4,
    group_size=2,
    steps_per_epoch=5,
    validation_clips=3,
    validation_tracks=2,
    validation_batch_size=2,
    num_workers=0,
)


class RecordingDataModule(AudioDataModule):
    """Notes the numbers of the crops that reach training."""

    def on_after_batch_transfer(self, batch, dataloader_idx):
        if self.trainer.training:
            self.seen = [*getattr(self, "seen", []), *batch["index"]]
        return super().on_after_batch_transfer(batch, dataloader_idx)


class TinyModule(LightningModule):
    """Notes its batches, validations and epochs by the step at which they come."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.batches, self.validations, self.epochs = [], [], []

    def training_step(self, batch, batch_idx):
        self.batches.append(batch)
        return (self.weight * batch.mixture.targets).square().mean()

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.validations.append((self.global_step, dataloader_idx, batch))

    def on_train_epoch_end(self):
        self.epochs.append(self.global_step)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-3)


class Crash(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            raise ConnectionError


class Leave(Crash):
    def on_train_batch_end(self, trainer, *_):
        trainer.should_stop = trainer.global_step >= self.step


@pytest.fixture
def music(tmp_path, write_noise):
    for number in range(4):
        write_noise(f"music/{number}.wav", 0.5, seed=number)
    return str(tmp_path / "music")


def fit(data, *callbacks, checkpoint=None, accumulate=1, max_steps=12, model=None):
    model = model or TinyModule()
    trainer = Trainer(
        accelerator="cpu",
        max_steps=max_steps,
        max_epochs=-1,
        accumulate_grad_batches=accumulate,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=True if checkpoint else None)
    return model


def attach(data, rank=0, world_size=1):
    data.trainer = SimpleNamespace(
        global_rank=rank,
        world_size=world_size,
        current_epoch=0,
        global_step=0,
        max_steps=-1,
        accumulate_grad_batches=1,
        log_every_n_steps=50,
        training=True,
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )
    data.setup("fit")
    return data


# Training


@pytest.mark.parametrize(("workers", "accumulate"), [(0, 1), (0, 2), (2, 1)])
def test_a_resumed_training_sees_every_crop_once_and_validates_as_if_never_stopped(
    music, tmp_path, workers, accumulate
):
    def data():
        return RecordingDataModule(train=music, **SETTINGS | {"num_workers": workers})

    whole, before, after = data(), data(), data()
    model = fit(whole, accumulate=accumulate)
    crops = list(range(12 * 4 * accumulate))
    assert whole.seen == crops
    assert model.epochs == [5, 10, 12]
    assert sorted({step for step, *_ in model.validations}) == [5, 10, 12]

    saving = ModelCheckpoint(tmp_path / "checkpoints", filename="last", every_n_train_steps=1)
    with pytest.raises(ConnectionError):
        fit(before, saving, Crash(8), accumulate=accumulate)  # before the checkpoint of step 8 is written
    model = fit(after, checkpoint=tmp_path / "checkpoints/last.ckpt", accumulate=accumulate)
    assert before.seen == crops[: 8 * 4 * accumulate]
    assert after.seen == crops[7 * 4 * accumulate :]
    assert model.epochs == [10, 12]
    assert sorted({step for step, *_ in model.validations}) == [10, 12]


@pytest.mark.parametrize("step", [1, 4, 5, 6, 10, 11])
def test_training_can_be_resumed_from_any_step(music, tmp_path, step):
    data = RecordingDataModule(train=music, **SETTINGS)
    saving = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    fit(RecordingDataModule(train=music, **SETTINGS), saving, max_steps=12)
    model = fit(data, checkpoint=tmp_path / f"step={step}.ckpt")
    assert data.seen == list(range(step * 4, 48))
    assert model.epochs == [end for end in (5, 10, 12) if end > step]


@pytest.mark.parametrize("step", [3, 5, 7])
def test_a_training_that_was_stopped_early_is_resumed_to_its_end(music, tmp_path, step):
    stopped, resumed = (RecordingDataModule(train=music, **SETTINGS) for _ in range(2))
    model = fit(stopped, Leave(step))
    model.trainer.save_checkpoint(tmp_path / "end.ckpt")
    model = fit(resumed, checkpoint=tmp_path / "end.ckpt")
    assert stopped.seen + resumed.seen == list(range(48))
    assert model.global_step == 12


def test_batches_hold_the_numbered_crops_under_the_mixes_of_their_groups(music):
    data = RecordingDataModule(train=music, seed=3, mixes=CircularShift(0.2, 0.4), **SETTINGS)
    batches = fit(data, max_steps=2).batches
    for number, batch in enumerate(batches):
        assert isinstance(batch, Batch)
        assert list(batch.draws.groups) == [2 * number, 2 * number + 1]
        numbers = range(4 * number, 4 * number + 4)
        crops = data.train_dataloader().dataset.__getitems__(numbers)["audio"]
        assert torch.equal(batch.mixture.sources, crops)
        weights = 0.2 + 0.2 * Draws(3, batch.draws.groups).uniform("mix", 4)
        for clip, partner in enumerate((1, 0, 3, 2)):
            mix = batch.mixture.matrix[4 * (clip // 2) + 2 + clip % 2]
            expected = torch.zeros(4)
            expected[clip], expected[partner] = weights[clip], 1 - weights[clip]
            torch.testing.assert_close(mix, expected)


def test_processes_together_make_the_batches_of_one(music):
    def batches(rank, world_size):
        data = attach(AudioDataModule(train=music, **SETTINGS), rank, world_size)
        return [data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader()]

    alone = batches(0, 1)
    for whole, *parts in zip(alone, batches(0, 2), batches(1, 2), strict=True):
        assert torch.equal(whole.mixture.sources, torch.cat([part.mixture.sources for part in parts]))
        blocks = torch.block_diag(*(part.mixture.matrix for part in parts))
        assert torch.equal(whole.mixture.matrix, blocks)


def test_groups_must_fit_into_each_process(music):
    with pytest.raises(MisconfigurationException, match="4 clips do not divide into groups of 3 on 1 process"):
        AudioDataModule(train=music, **SETTINGS | {"group_size": 3})
    with pytest.raises(MisconfigurationException, match="group_size to 2 or more"):
        AudioDataModule(train=music, **SETTINGS | {"group_size": 1})
    AudioDataModule(train=music, **SETTINGS | {"group_size": 1, "mixes": PlainClips()})
    data = attach(AudioDataModule(train=music, **SETTINGS | {"group_size": None}), world_size=2)
    with pytest.raises(MisconfigurationException, match=r"groups of 4 on 2 process.*multiple of 2 \* group_size"):
        data.train_dataloader()


def test_training_without_audio_says_what_to_give(music):
    with pytest.raises(MisconfigurationException, match=r"give --data\.train=FOLDER"):
        fit(AudioDataModule(validation=music, **SETTINGS))


def test_other_data_or_settings_refuse_to_resume(music, tmp_path, write_noise):
    def saved(**changes):
        return attach(AudioDataModule(train=music, **SETTINGS | changes)).state_dict()

    saving = ModelCheckpoint(tmp_path, filename="last", every_n_train_steps=1)
    fit(AudioDataModule(train=music, **SETTINGS), saving, max_steps=2)
    checkpoint = tmp_path / "last.ckpt"
    assert torch.load(checkpoint, weights_only=True)["AudioDataModule"] == saved()
    with pytest.raises(MisconfigurationException, match=r"batch_size was 4, is 8\. .*start a new training"):
        fit(AudioDataModule(train=music, **SETTINGS | {"batch_size": 8}), checkpoint=checkpoint)
    write_noise("music/new.wav")
    with pytest.raises(MisconfigurationException, match=r"other data: files and weights was \w+, is \w+\. Restore"):
        fit(AudioDataModule(train=music, **SETTINGS), checkpoint=checkpoint)
    assert saved(num_workers=3, max_bad=0.5, validation_clips=5) == saved()


def test_rejected_crops_are_counted_and_broken_files_stop_training(tmp_path, write_noise):
    for number in range(6):
        write_noise(f"music/{number}.flac", 1.0, seed=number)
    (tmp_path / "music" / "text.wav").write_text("no audio")
    write_noise("music/short.wav", 0.01)
    write_noise("held.wav")

    def cut(number):
        file = tmp_path / "music" / f"{number}.flac"
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 4])

    cut(0)
    held = {"held": Corpus(str(tmp_path), patterns=["*.wav"])}
    settings = SETTINGS | {"train": str(tmp_path / "music"), "validation": held, "max_bad": 0.3}
    data = AudioDataModule(**settings)
    fit(data)
    assert data.tally.files == {"unreadable": 1, "too_short": 1}
    counts = data.tally.crops
    assert sum(counts.values()) > 3  # of the cut file
    assert set(counts) <= {"unreadable", "truncated"}
    cut(1), cut(2)
    with pytest.raises(ValueError, match=r"3 of 8 files are broken"):
        fit(AudioDataModule(**settings))


# Validation


def test_held_out_files_are_validated_and_never_trained_on(music):
    data = AudioDataModule(train=music, **SETTINGS | {"holdout": 0.3})
    model = fit(data)
    clips = [batch for _, loader, batch in model.validations if loader == 0][:2]
    tracks = next(batch for _, loader, batch in model.validations if loader == 1)
    assert torch.cat([batch["index"] for batch in clips]).tolist() == [0, 1, 2]
    assert [batch["audio"].shape for batch in clips] == [(2, 500), (1, 500)]
    assert tracks["stems"].shape == (2, 4, 500)
    assert data.stems == ["source"] * 4
    held = {item.path for crops in data._validation_sets[0].crops.sets for item in crops}
    drawn = {data._crops(index).file.path for index in range(500)}
    assert held
    assert not held & drawn
    assert held | drawn == {f"{number}.wav" for number in range(4)}


def test_validation_folder_and_tracks_are_used_where_given(music, tmp_path, write_noise):
    write_noise("clips/a.wav", seed=9)
    for stem in ("vocals", "drums", "mixture"):
        write_noise(f"tracks/song/{stem}.wav", seed=len(stem))
    settings = SETTINGS | {"validation_samples": 700, "train": music, "validation": str(tmp_path / "clips")}
    data = attach(AudioDataModule(tracks=str(tmp_path / "tracks"), **settings))
    clips, tracks = map(list, data.val_dataloader())
    assert [batch["audio"].shape for batch in clips] == [(2, 700), (1, 700)]
    (track,) = tracks
    assert track["stems"].shape == (2, 2, 700)
    assert data.stems == ["drums", "vocals"]
    assert {data._crops(index).file.path for index in range(200)} == {f"{number}.wav" for number in range(4)}


@pytest.mark.parametrize("channels", ["mean", "random", "stereo"])
def test_stereo_shards_give_the_batches_of_their_files(tmp_path, write_noise, channels):
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", 9 * write_noise(f"in/{number}.wav", 0.5, 44_100, 2, number), 44_100)
        (tmp_path / f"{number}.wav").replace(tmp_path / f"in/{number}.wav")
    prepare(make_plan("in", Corpus(str(tmp_path / "in")), tmp_path / "out", 10**9, channels=2))

    def batches(folder):
        data = attach(AudioDataModule(train=str(tmp_path / folder), channels=channels, **SETTINGS))
        validation = [
            batch[name]
            for loader, name in zip(data.val_dataloader(), ("audio", "stems"), strict=True)
            for batch in loader
        ]
        return [batch["audio"] for batch in data.train_dataloader()] + validation

    for file, shard in zip(batches("in"), batches("out"), strict=True):
        torch.testing.assert_close(shard, file, rtol=0, atol=2e-5)
        assert file.abs().max() > 0.5


def test_processes_divide_validation_among_them(music):
    def numbers(rank, world_size):
        loaders = attach(AudioDataModule(train=music, **SETTINGS), rank, world_size).val_dataloader()
        return [torch.cat([batch["index"] for batch in loader]).tolist() for loader in loaders]

    assert numbers(0, 1) == [[0, 1, 2], [0, 1]]
    assert [numbers(0, 2), numbers(1, 2)] == [[[0, 2], [0]], [[1], [1]]]


class Watchful(TinyModule):
    """Notes the processes that read validation audio, and fails in the validation at a step."""

    def __init__(self, step=-1):
        super().__init__()
        self.step, self.workers = step, []

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        super().validation_step(batch, batch_idx, dataloader_idx)
        loader = self.trainer.val_dataloaders[dataloader_idx]
        self.workers.append((dataloader_idx, tuple(worker.pid for worker in loader._iterator._workers)))
        if self.global_step == self.step:
            raise ConnectionError


def test_workers_wait_from_one_validation_to_the_next_and_end_with_the_training(music):
    model = fit(AudioDataModule(train=music, **SETTINGS | {"num_workers": 2}), model=Watchful())
    assert sorted({step for step, *_ in model.validations}) == [5, 10, 12]
    assert [loader for loader, _ in sorted(set(model.workers))] == [0, 1]
    assert not multiprocessing.active_children()
    alone = fit(AudioDataModule(train=music, **SETTINGS))
    for found, expected in zip(model.validations, alone.validations, strict=True):
        assert found[:2] == expected[:2]
        assert all(torch.equal(found[2][name], each) for name, each in expected[2].items())


@pytest.mark.parametrize("step", [5, 10])
def test_workers_end_when_a_validation_fails(music, step):
    with pytest.raises(ConnectionError):
        fit(AudioDataModule(train=music, **SETTINGS | {"num_workers": 2}), model=Watchful(step))
    assert not multiprocessing.active_children()


def test_validation_alone_needs_no_training_audio(music):
    model = TinyModule()
    data = AudioDataModule(validation=music, **SETTINGS)
    Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False).validate(
        model, datamodule=data
    )
    assert len(model.validations) == 3
    assert data.state_dict() == {}


def sides(data):
    """The real files that are trained on, and those that are validated on."""
    data.setup("fit")
    trained = {os.path.realpath(data._crops(number).file.location) for number in range(2_000)}
    sets = [files for dataset in data._validation_sets for files in dataset.crops.sets]
    return trained, {os.path.realpath(file.location) for files in sets for file in files}


@pytest.mark.parametrize("given", ["nothing", "clips", "tracks"])
def test_what_is_validated_on_is_not_trained_on_under_any_name(tmp_path, write_noise, given):
    for number in range(12):
        write_noise(f"music/{number}.wav", 0.1, seed=number)
        write_noise(f"music/song/{number}.wav", 0.1, seed=number)
    (tmp_path / "links").mkdir()
    for number in range(12):
        os.symlink(tmp_path / f"music/{number}.wav", tmp_path / f"links/0{number}.wav")
    train = {"music": Corpus(str(tmp_path / "music")), "links": Corpus(str(tmp_path / "links"))}
    others = {"nothing": {}, "clips": {"validation": str(tmp_path / "music/song")}}
    others["tracks"] = {"tracks": Corpus(str(tmp_path / "music"), patterns=["song/*"])}
    with pytest.warns(UserWarning, match="left out of training"):
        trained, validated = sides(AudioDataModule(train=train, **SETTINGS | {"holdout": 0.2} | others[given]))
    assert not trained & validated
    assert len(trained) > 5


def test_a_folder_may_be_learned_by_heart_with_a_warning(music):
    with pytest.warns(UserWarning, match=r"validated on too.*--data\.validation"):
        trained, validated = sides(AudioDataModule(train=music, validation=music, **SETTINGS))
    assert trained >= validated


def one_of_two(rank, folders, store, answers):
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    data = AudioDataModule(train=folders[rank], **SETTINGS)
    try:
        data.setup("fit")
    except ValueError as error:
        answers.put((rank, str(error)))
    else:
        answers.put((rank, data._identity(), [data._crops(number).file.path for number in range(50)], data.tally.files))


@pytest.mark.parametrize("broken", [0, 4])
def test_processes_that_list_a_folder_differently_train_on_what_the_first_finds_or_all_fail(
    told_by_two, music, tmp_path, broken
):
    """As if a disk had failed to show a file to one of them. More broken files than allowed end all processes."""
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(f"{music}/0.wav", other)
    shutil.copy(f"{music}/1.wav", other)
    for number in range(broken):
        Path(music, f"{number}.flac").write_text("broken")
    told = told_by_two(one_of_two, [music, str(other)], tmp_path / "store")
    assert told[0][1:] == told[1][1:]
    if broken:
        assert "4 of 8 files are broken" in told[0][1]


# Configuration


def parse(*arguments):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningDataModule, "data")
    config = parser.parse_args([*arguments])
    again = parser.parse_string(parser.dump(config))
    return parser.instantiate_classes(config).data, parser.instantiate_classes(again).data


def test_a_folder_or_weighted_corpora_and_mixes_can_be_configured(tmp_path):
    for data in parse("--data=datamodules.audio.AudioDataModule", "--data.train=/music"):
        assert data.train["train"].path == "/music"
        assert data.mixes(4, Draws(0, [0])).shape == (8, 4)
    file = tmp_path / "data.yaml"
    file.write_text(
        """
        data:
          class_path: datamodules.audio.AudioDataModule
          init_args:
            train:
              music: {path: /music, weight: 0.7}
              speech: {path: /speech, weight: 0.3, patterns: ["*.flac"]}
            mixes: {class_path: lincae.mixing.CircularShift, init_args: {low: 0.25}}
        """
    )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningDataModule, "data")
    config = parser.parse_path(file)
    data = parser.instantiate_classes(config).data
    assert [vars(corpus) for corpus in data.train.values()] == [
        vars(Corpus("/music", 0.7)),
        vars(Corpus("/speech", 0.3, ["*.flac"])),
    ]
    assert data.mixes == CircularShift(0.25)
    for data in parse("--data=datamodules.audio.AudioDataModule", "--data.mixes=lincae.mixing.PlainClips"):
        assert data.mixes == PlainClips()


def test_synthetic_audio_is_written_once_and_trained_on(tmp_path):
    settings = SETTINGS | {"sample_rate": 8_000, "validation_clips": 4}
    data = SyntheticDataModule(None, str(tmp_path), 6, 0.5, 2, 0.5, **settings)
    fit(data, max_steps=1)
    written = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.wav")}
    assert len(written) == 6 + 2 * 5
    assert set(data.stems) == {"drums", "bass", "other", "vocals"}
    other = SyntheticDataModule(None, str(tmp_path), 6, 0.5, 2, 0.5, **settings)
    other.prepare_data()
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.wav")} == written
    for data in parse("--data=datamodules.synthetic_data.SyntheticDataModule", "--data.clip_count=7", "--data.seed=2"):
        assert data.seed == 2
        assert data.reader.sample_rate == 16_000
        assert "clips_7x2s_16000Hz_seed0" in data.train["train"].path


UNPICKLE = """
import pickle, sys
loaded = pickle.load(sys.stdin.buffer)
sys.exit(" ".join({"lightning", "torchmetrics", "wandb"} & set(sys.modules)) or len(loaded) != 3)
"""


def test_what_a_worker_is_given_needs_no_lightning(music):
    data = attach(AudioDataModule(train=music, **SETTINGS))
    loaders = [data.train_dataloader(), *data.val_dataloader()]
    given = pickle.dumps([(loader.dataset, loader.collate_fn, loader.worker_init_fn) for loader in loaders])
    subprocess.run([sys.executable, "-c", UNPICKLE], input=given, check=True, timeout=120)
