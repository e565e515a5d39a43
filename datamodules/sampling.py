"""The sampling rule: which crop has which number, and which numbers make a batch.

Crops are numbered through the whole training: batch k of B crops holds numbers k B to k B + B - 1. What crop g is
depends on (seed, g, files) alone, so neither loader workers nor processes nor a resumed run can change it.
"""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from torch.utils.data import Sampler

from datamodules.index import AudioFile
from datamodules.reader import Crop
from lincae.streams import stream_seed


class FileTable:
    """Files of one corpus in a few arrays: each loader's worker gets a copy, and objects would be slow to hand over.

    What reading does not need is left out: groups, splits, contents and identities.

    Args:
        files: one or more, of one corpus and root.
    """

    def __init__(self, files: Sequence[AudioFile]) -> None:
        self.corpus, self.root = files[0].corpus, files[0].root
        paths = [file.path.encode(errors="surrogatepass") for file in files]
        self._paths, self._ends = b"".join(paths), np.cumsum([0, *map(len, paths)])
        self._shards = sorted({file.shard for file in files})
        numbers = {shard: number for number, shard in enumerate(self._shards)}
        columns = [("frames", "i8"), ("rate", "i4"), ("channels", "i4"), ("shard", "i4"), ("first", "i8")]
        columns += [("gain", "f8"), ("averaged", "?")]
        rows = [
            (file.frames, file.rate, file.channels, numbers[file.shard], file.first, file.gain, file.averaged)
            for file in files
        ]
        self._numbers = np.array(rows, columns)

    def __getitem__(self, number: int) -> AudioFile:
        path = self._paths[self._ends[number] : self._ends[number + 1]].decode(errors="surrogatepass")
        frames, rate, channels, shard, first, gain, averaged = self._numbers[number].item()
        return AudioFile(
            self.corpus,
            self.root,
            path,
            frames,
            rate,
            channels,
            shard=self._shards[shard],
            first=first,
            gain=gain,
            averaged=averaged,
        )


class RandomCrops:
    """Crop number -> place: a corpus by weight, then a place uniform over the time that the corpus lasts.

    Random numbers come from a counter-based generator: Philox at counter (attempt, g).

    Args:
        files: usable files of each corpus by name. The order of the names does not matter.
        weights: of each corpus.
        seed: of the run.
        sample_rate: Hz.
        samples: of a crop.

    Attributes:
        manifest: a hash of the files and weights.
    """

    def __init__(
        self,
        files: Mapping[str, Sequence[AudioFile]],
        weights: Mapping[str, float],
        seed: int,
        sample_rate: int,
        samples: int,
    ) -> None:
        names = sorted(files)
        self._generator = np.random.Philox(key=stream_seed(seed, "crop", 0))
        self._state = self._generator.state
        self._files = [FileTable(files[name]) for name in names]
        shares = [weights[name] for name in names]
        self._bounds = (np.cumsum(shares) / np.sum(shares))[:-1].tolist()
        # places[f] to places[f + 1] - 1 number the crops of file f
        self._places = [
            np.cumsum([0, *(file.length(sample_rate) - samples + 1 for file in files[name])]) for name in names
        ]
        self.manifest = manifest(files, weights)

    def __call__(self, index: int, attempt: int = 0) -> Crop:
        """Where crop `index` is, or the one tried in its place at a later attempt, which is of the same corpus."""
        which, position, draw = self._draws(index, 0)
        corpus = bisect(self._bounds, which / 2**64)
        if attempt:
            _, position, draw = self._draws(index, attempt)
        places = self._places[corpus]
        place = position * int(places[-1]) >> 64
        file = int(np.searchsorted(places, place, side="right")) - 1
        return Crop(self._files[corpus][file], place - int(places[file]), (draw >> 11) / 2**53)

    def _draws(self, index: int, attempt: int) -> list[int]:
        """Three integers from [0, 2^64)."""
        # moving one generator's counter is seven times faster than making a generator
        self._state["state"]["counter"][2:] = attempt, index
        self._state["buffer_pos"] = 4  # nothing drawn yet
        self._generator.state = self._state
        return self._generator.random_raw(3).tolist()


def manifest(files: Mapping[str, Sequence[AudioFile]], weights: Mapping[str, float]) -> str:
    """A hash of all files (relative paths, lengths, rates, channels, sizes or hashes) and of the weights, by name."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(files):
        digest.update(repr(weights[name]).encode())
        for file in files[name]:
            digest.update(repr((file.corpus, file.path, file.frames, file.rate, file.channels, file.content)).encode())
    return digest.hexdigest()


class StepSampler(Sampler[list[int]]):
    """Crop numbers of consecutive batches, or one process's share of each.

    Args:
        batch_size: B, over all processes.
        start: first batch to come, counted through the whole training.
        stop: batch at which the epoch ends.
        epoch_length: batches of the whole epoch, of which a resumed run has seen some.
        rank: of this process.
        world_size: processes; each takes consecutive crops of a batch.
    """

    def __init__(
        self, batch_size: int, start: int, stop: int, epoch_length: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self.batch_size, self.start, self.stop, self.epoch_length = batch_size, start, stop, epoch_length
        self.rank, self.world_size = rank, world_size

    def __iter__(self) -> Iterator[list[int]]:
        share = self.batch_size // self.world_size
        for batch in range(self.start, self.stop):
            first = batch * self.batch_size + self.rank * share
            yield list(range(first, first + share))

    def __len__(self) -> int:
        return self.epoch_length
