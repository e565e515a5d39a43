"""The data module: random crops of weighted corpora for training, fixed clips and tracks for validation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import torch
from jsonargparse import lazy_instance
from lightning.pytorch import LightningDataModule
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader, Subset

from datamodules.corpus import Corpus
from datamodules.dataset import CropDataset, as_it_is
from datamodules.index import AudioFile, CorpusIndex, Demands, hold_out, scan, training_part, validation_part
from datamodules.ranks import on_rank_zero, warn
from datamodules.reader import Channels, CropReader
from datamodules.sampling import RandomCrops, StepSampler
from datamodules.storage import is_url
from datamodules.tally import Tally
from datamodules.validation import ClipDataset, EvenCrops, TrackDataset, stems_of_tracks
from lincae.mixing import Batch, CircularShift, Mixture, PlainClips
from lincae.stop_signals import leave_signals_to_the_trainer
from lincae.streams import Draws

Mixes = Callable[[int, Draws], Any]  # (S, draws) -> A (N, S); Any, as parsers take a class there for a class to build


class Scan(NamedTuple):
    """What the folders hold.

    Attributes:
        tally: with what the scan left out.
        crops: to train on; None for validation alone.
        validation_sets: clips and tracks.
        stems: names of the stems of a track.
        remote: whether an object store is read.
    """

    tally: Tally
    crops: RandomCrops | None
    validation_sets: list[ClipDataset | TrackDataset]
    stems: list[str]
    remote: bool


class AudioDataModule(LightningDataModule):
    """Trains on folders of audio of any format, rate and length, or on shards; `docs/data.md` says how.

    Batches for training are `lincae.mixing.Batch`; for validation there are two loaders, clips {`audio` (N, T), `other`
    (N, T), another clip for each, `index` (N,)} and tracks {`stems` (N, K, T), `index` (N,)}. The trainer needs
    `use_distributed_sampler=False` and `reload_dataloaders_every_n_epochs=1`.

    Args:
        train: a folder, or corpora by name.
        validation: the same for clips, whose weights do not matter. Not given, files of `train` are held out.
        tracks: a folder `<track>/<stem>.wav`, or a corpus of that layout. Not given, tracks are sums of validation
            clips.
        root: folder or URL (`s3://bucket/folder`) at which relative paths of corpora begin; the working directory if
            not given.
        sample_rate: Hz.
        samples: T, of a training crop.
        validation_samples: T, of a validation crop; as `samples` if not given.
        channels: how files become mono: the `mean` of channels, the `left` one, or for each crop one at `random`; or
            `stereo`, for models of two channels, to which mono files have both channels the same.
        batch_size: clips in a batch, over all processes.
        group_size: clips that are mixed with each other; the whole batch if not given. Mixes do not depend on the
            number of processes as long as this stays the same.
        mixes: makes the mixing matrix.
        steps_per_epoch: optimiser steps from one validation to the next.
        validation_clips: number of validation clips; several per file where there are fewer files.
        validation_tracks: number of validation tracks, likewise.
        sources_per_track: clips in a track where there are no real tracks.
        validation_batch_size: clips, or tracks, in a batch of each process.
        holdout: share of the files, or of the artists where they are known, that is held out of training.
        min_sample_rate: files of a lower rate are left out, Hz; `sample_rate` if not given.
        max_channels: files with more channels are left out.
        silence: training crops of lower rms are replaced; full scale is 1.
        max_bad: share of a corpus' files that may be broken. One file always may.
        num_workers: processes that read audio, for each loader; 0 reads in the main process.
        seed: of the run.

    Raises:
        MisconfigurationException: if there is no training audio, groups do not fit, or a checkpoint is of other data.
        ValueError: if a corpus has no usable file, or too many broken ones.
    """

    def __init__(
        self,
        train: str | dict[str, Corpus] | None = None,
        validation: str | dict[str, Corpus] | None = None,
        tracks: str | Corpus | None = None,
        root: str | None = None,
        sample_rate: int = 44_100,
        samples: int = 34_304,
        validation_samples: int | None = None,
        channels: Channels = "mean",
        batch_size: int = 20,
        group_size: int | None = None,
        mixes: Mixes = lazy_instance(CircularShift),  # noqa: B008 (frozen)
        steps_per_epoch: int = 25_000,
        validation_clips: int = 32,
        validation_tracks: int = 16,
        sources_per_track: int = 4,
        validation_batch_size: int = 8,
        holdout: float = 0.02,
        min_sample_rate: int | None = None,
        max_channels: int = 2,
        silence: float = 1e-3,
        max_bad: float = 0.01,
        num_workers: int = 4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.train, self.validation = named_corpora(train, "train", root), named_corpora(validation, "validation", root)
        stems = Corpus(tracks, patterns=["**/*/*"]) if isinstance(tracks, str) else tracks
        self.tracks = named_corpora(stems, "tracks", root)
        self.reader = CropReader(sample_rate, samples, channels)
        self.validation_reader = CropReader(sample_rate, validation_samples or samples, channels)
        self.batch_size, self.group_size, self.mixes = batch_size, group_size or batch_size, mixes
        self.steps_per_epoch = steps_per_epoch
        self.validation_clips, self.validation_tracks = validation_clips, validation_tracks
        self.sources_per_track, self.validation_batch_size = sources_per_track, validation_batch_size
        self.holdout, self.silence = holdout, silence
        least = sample_rate if min_sample_rate is None else min_sample_rate
        self.demands = Demands(sample_rate, samples, least, max_channels, max_bad)
        self.num_workers, self.seed = num_workers, seed
        self.stems: list[str] = []
        self.tally = Tally({})
        self._remote = False
        self._crops: RandomCrops | None = None
        self._validation_sets: list[ClipDataset | TrackDataset] = []
        self._validation_loaders: list[DataLoader] = []  # of one trainer; their workers wait for the next validation
        self._check_groups(world_size=1)

    def setup(self, stage: str) -> None:
        """Scans the folders that the stage needs, once and in one process, which tells the others what it found.

        Raises:
            ValueError, OSError: in all processes, if that fails.
        """
        self._validation_loaders = []
        training = self._crops is None and (stage == "fit" or not self.validation)
        if training or not self._validation_sets:
            found = on_rank_zero(partial(self._scan, training))
            self.tally, self._crops, self._validation_sets, self.stems, self._remote = found

    def on_exception(self, exception: BaseException) -> None:
        """Ends the loaders' workers, which the trainer forgets if it is a validation that breaks off.

        They do not obey the SIGTERM by which Python would end them, so it would wait for them forever.
        """
        if self.trainer.state.fn == TrainerFn.FITTING:
            self.trainer.fit_loop.teardown()

    def train_dataloader(self) -> DataLoader:
        """Batches from the trainer's step to the end of the trainer's epoch, which `max_steps` may cut short."""
        trainer = self.trainer
        self._check_groups(trainer.world_size)
        # an epoch that was stopped early counts as finished in the trainer, although steps of it are left
        epoch = min(trainer.current_epoch, trainer.global_step // self.steps_per_epoch)
        first = epoch * self.steps_per_epoch
        last = first + self.steps_per_epoch
        if trainer.max_steps >= 0:
            last = min(last, trainer.max_steps)
        accumulate = trainer.accumulate_grad_batches
        sampler = StepSampler(
            self.batch_size,
            start=trainer.global_step * accumulate,
            stop=last * accumulate,
            epoch_length=max(0, last - first) * accumulate,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )
        return DataLoader(
            CropDataset(self._crops, self.reader, self.silence),
            batch_sampler=sampler,
            collate_fn=as_it_is,
            **self._loading(),
        )

    def val_dataloader(self) -> list[DataLoader]:
        """Clips and tracks: process r of w takes items r, r + w, ...

        Where there are fewer items than processes, some are taken twice, and still count once: a process without any
        would not take part in the validation, for which the others would wait.
        """
        rank, world_size = self.trainer.global_rank, self.trainer.world_size
        self._validation_loaders = self._validation_loaders or [
            DataLoader(
                Subset(dataset, range(rank % max(1, len(dataset)), len(dataset), world_size)),
                batch_size=self.validation_batch_size,
                **self._loading(),
            )
            for dataset in self._validation_sets
        ]
        return self._validation_loaders

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """As Lightning's, but the indices of validation clips stay on the host, which draws noise for them."""
        return {**super().transfer_batch_to_device(batch, device, dataloader_idx), "index": batch["index"]}

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> Batch | dict[str, Any]:
        """Builds the mixing matrix of a training batch, on its device."""
        if not self.trainer.training:
            return batch
        self.tally.count(batch["rejected"], self.trainer)
        sources, first = batch["audio"], batch["index"][0] // self.group_size
        draws = Draws(self.seed, range(first, first + len(sources) // self.group_size), sources.device)
        return Batch(Mixture(sources, self.mixes(len(sources), draws)), draws, batch["origins"])

    def state_dict(self) -> dict[str, Any]:
        """What decides which crops a training sees, and what it has met so far."""
        if self._crops is None:
            return {}
        return {**self._identity(), "rejected": self.tally.state_dict()}

    def _identity(self) -> dict[str, Any]:
        """What decides which crops a training sees."""
        assert self._crops is not None
        return {
            "seed": self.seed,
            "sample_rate": self.reader.sample_rate,
            "samples": self.reader.samples,
            "channels": self.reader.channels,
            "silence": self.silence,
            "batch_size": self.batch_size,
            "group_size": self.group_size,
            "steps_per_epoch": self.steps_per_epoch,
            "files and weights": self._crops.manifest,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on counting rejected crops; refuses to resume a training on other data.

        Raises:
            MisconfigurationException: naming what differs.
        """
        if self.trainer.state.fn != TrainerFn.FITTING:
            return
        changes = [
            f"{key} was {state_dict.get(key)}, is {now}"
            for key, now in self._identity().items()
            if state_dict.get(key) != now
        ]
        if changes:
            raise MisconfigurationException(
                f"the checkpoint is of a training on other data: {'; '.join(changes)}. Restore these settings to "
                "resume it, or start a new training from its weights"
            )
        self.tally.load_state_dict(state_dict["rejected"])

    def _loading(self) -> dict[str, Any]:
        """How loaders run: workers that read an object store must not be forks of a process that did."""
        return {
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,  # the trainer starts an epoch's iterator twice
            "pin_memory": self.trainer.strategy.root_device.type == "cuda",
            "multiprocessing_context": "forkserver" if self._remote and self.num_workers else None,
            "worker_init_fn": leave_signals_to_the_trainer,
        }

    def _check_groups(self, world_size: int) -> None:
        smallest = 1 if isinstance(self.mixes, PlainClips) else 2
        if self.group_size < smallest or self.batch_size % (self.group_size * world_size):
            raise MisconfigurationException(
                f"{self.batch_size} clips do not divide into groups of {self.group_size} on {world_size} process(es): "
                f"set --data.group_size to {smallest} or more, and --data.batch_size to a multiple of "
                f"{world_size} * group_size"
            )

    def _scan(self, training: bool) -> Scan:
        """Finds what to train on, if that is wanted, and what to validate on."""
        if training and not self.train:
            raise MisconfigurationException("there is no audio to train on: give --data.train=FOLDER")
        wanted = replace(self.demands, samples=self.validation_reader.samples)
        indices = self._scan_corpora(self.train, self.demands) if training else {}
        files: dict[str, list[AudioFile]] = {}
        clips: list[AudioFile] = []
        for name, index in indices.items():
            if self.validation:
                files[name] = training_part(index.files)
            else:
                files[name], held = hold_out(index.files, self.holdout, wanted.samples, wanted.sample_rate)
                clips += held
        if self.validation:
            others = self._scan_corpora(self.validation, wanted).values()
            clips = [file for index in others for file in validation_part(index.files)]
        sets, stems = [[file] for file in clips], ["source"] * self.sources_per_track
        tracks, parts = sets, self.sources_per_track
        if self.tracks:
            (index,) = self._scan_corpora(self.tracks, wanted).values()
            (stems, tracks), parts = stems_of_tracks(index.files), 1
        crops = None
        if training:
            files = apart(files, [*clips, *chain.from_iterable(tracks)])
            for name, index in indices.items():
                if not files[name]:
                    raise ValueError(
                        f"{index.where}: all {len(index.files)} files are set aside for validation and testing"
                    )
            weights = {name: index.corpus.weight for name, index in indices.items()}
            crops = RandomCrops(files, weights, self.seed, self.reader.sample_rate, self.reader.samples)
        return Scan(
            Tally({name: replace(index, files=[]) for name, index in indices.items()}),
            crops,
            [
                ClipDataset(self._evenly(sets, self.validation_clips)),
                TrackDataset(self._evenly(tracks, self.validation_tracks * parts), parts),
            ],
            stems,
            any(
                is_url(corpus.path)
                for corpus in [*self.train.values(), *self.validation.values(), *self.tracks.values()]
            ),
        )

    def _scan_corpora(self, corpora: dict[str, Corpus], demands: Demands) -> dict[str, CorpusIndex]:
        indices = {name: scan(name, corpus, demands) for name, corpus in corpora.items()}
        for index in indices.values():
            self.reader.check(index.files)
        return indices

    def _evenly(self, sets: list[list[AudioFile]], count: int) -> EvenCrops:
        crops = EvenCrops(sets, count, self.validation_reader, self.silence).readable()
        if len(crops.sets) > count:  # loader workers get a copy of them
            return replace(crops, sets=[crops.sets[crops.set_of(index)] for index in range(count)])
        return crops


def apart(files: dict[str, list[AudioFile]], heard: Iterable[AudioFile]) -> dict[str, list[AudioFile]]:
    """The files to train on of each corpus without those that are validated on, under whatever name.

    If nothing is left, training is meant to learn what it is validated on, and keeps its files.
    """
    identities = {file.identity for file in heard} - {""}
    left = {name: [file for file in corpus if file.identity not in identities] for name, corpus in files.items()}
    common = [file.location for name, corpus in files.items() for file in corpus if file.identity in identities]
    if not common:
        return files
    if any(left.values()):
        warn(f"{len(common)} files are validated on and left out of training, as {common[0]}")
        return left
    warn(
        f"all {len(common)} files that are trained on, as {common[0]}, are validated on too: validation tells nothing "
        "of other audio. Unless that is meant, give --data.validation another folder"
    )
    return files


def named_corpora(source: str | Corpus | dict[str, Corpus] | None, name: str, root: str | None) -> dict[str, Corpus]:
    """Corpora by name, at their places below `root`.

    Args:
        source: a folder, a corpus, or several by name; None is none.
        name: of the only corpus.
        root: folder or URL at which relative paths begin.
    """
    if source is None:
        return {}
    if isinstance(source, str):
        source = Corpus(source)
    if isinstance(source, Corpus):
        source = {name: source}
    return {name: corpus.below(root) for name, corpus in source.items()}
