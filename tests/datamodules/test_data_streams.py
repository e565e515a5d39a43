"""The same batches from files, shards and an object store, for any number of workers and processes, from any step."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from datamodules.audio import AudioDataModule
from datamodules.corpus import Corpus
from datamodules.planning import make_plan
from datamodules.preparation import prepare

pytestmark = pytest.mark.filterwarnings("ignore")

RATE, STEPS = 44_100, 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two corpora of mono 16-bit files, with silence in one of them."""
    root = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    for corpus, lengths in {"drums": (9_000, 4_000, 30_000), "voices": (12_000, 20_000)}.items():
        (root / corpus).mkdir()
        for number, length in enumerate(lengths):
            audio = rng.integers(-20_000, 20_000, length, np.int16)
            if corpus == "voices":
                audio[: length // 2] = 0
            soundfile.write(root / corpus / f"{number}.wav", audio, RATE)
    return str(root)


@pytest.fixture(scope="module")
def shards(folder, tmp_path_factory):
    """The same, prepared, in several shards each."""
    root = tmp_path_factory.mktemp("shards")
    for corpus in ("drums", "voices"):
        prepare(make_plan(corpus, Corpus(f"{folder}/{corpus}"), root / corpus, shard_bytes=30_000))
        assert len(list((root / corpus).glob("*.pcm"))) == 2
    return str(root)


@pytest.fixture(scope="module")
def bucket(shards, object_store):
    """The same, uploaded."""
    url = object_store("streams")
    object_store.upload(shards, f"{url}/prepared")
    return f"{url}/prepared"


def batches(root, workers=0, rank=0, world_size=1, start=0):
    """The batches of an epoch from a step on, as one process sees them."""
    data = AudioDataModule(
        train={"drums": Corpus("drums", 3), "voices": Corpus("voices", 1)},
        root=root,
        samples=2_000,
        batch_size=8,
        group_size=4,
        steps_per_epoch=STEPS,
        holdout=0.1,
        validation_clips=1,
        num_workers=workers,
        seed=1,
    )
    data.trainer = SimpleNamespace(
        global_rank=rank,
        world_size=world_size,
        current_epoch=0,
        global_step=start,
        max_steps=-1,
        accumulate_grad_batches=1,
        log_every_n_steps=1_000,
        training=True,
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )
    data.setup("fit")
    return [data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader()]


@pytest.fixture(scope="module")
def expected(folder):
    """One process that reads files by itself."""
    return batches(folder)


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.draws == other.draws
        assert torch.equal(one.mixture.sources, other.mixture.sources)
        assert torch.equal(one.mixture.matrix, other.mixture.matrix)


def test_silence_was_met(folder, expected):
    assert len(expected) == STEPS
    assert expected[0].mixture.sources.shape == (8, 2_000)
    again = AudioDataModule(train=f"{folder}/voices", samples=2_000, batch_size=8)
    again.setup("fit")
    crops = [again._crops(number) for number in range(50)]
    assert any(np.abs(again.reader(crop)).max() == 0 for crop in crops)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_do_not_change_the_order(folder, expected, workers):
    assert_same(batches(folder, workers), expected)


@pytest.mark.parametrize("start", [1, 4])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_start_in_the_middle_of_an_epoch_gives_the_rest(folder, expected, start, workers):
    assert_same(batches(folder, workers, start=start), expected[start:])


@pytest.mark.parametrize("place", ["folder", "shards", "bucket"])
def test_two_processes_make_the_batches_of_one(request, expected, place):
    root = request.getfixturevalue(place)
    for whole, *parts in zip(expected, batches(root, 0, 0, 2), batches(root, 0, 1, 2), strict=True):
        assert torch.equal(torch.cat([part.mixture.sources for part in parts]), whole.mixture.sources)
        assert torch.equal(torch.block_diag(*(part.mixture.matrix for part in parts)), whole.mixture.matrix)


@pytest.mark.parametrize("workers", [0, 2])
def test_shards_give_the_samples_of_the_files(shards, expected, workers):
    assert_same(batches(shards, workers), expected)


@pytest.mark.parametrize(("workers", "start"), [(0, 0), (2, 3)])
def test_an_object_store_gives_the_samples_of_the_files(bucket, expected, workers, start):
    assert_same(batches(bucket, workers, start=start), expected[start:])


def test_files_and_shards_can_be_mixed(folder, shards, tmp_path, expected):
    shutil.copytree(f"{folder}/drums", tmp_path / "drums")
    shutil.copytree(f"{shards}/voices", tmp_path / "voices")
    assert_same(batches(str(tmp_path)), expected)


def test_other_samples_are_other_data(shards, tmp_path):
    """A checkpoint knows the samples of shards by their hash."""

    def identity(root):
        data = AudioDataModule(train=f"{root}/drums", samples=2_000, batch_size=8)
        data.setup("fit")
        return data._identity()

    moved = shutil.copytree(shards, tmp_path / "moved")
    assert identity(moved) == identity(shards)
    manifest = moved / "drums" / "manifest.jsonl"
    lines = manifest.read_text().splitlines(keepends=True)
    key = lines[1].index('"pcm_sha256": "') + 15
    lines[1] = lines[1][:key] + "0" * 64 + lines[1][key + 64 :]
    manifest.write_text("".join(lines))
    assert identity(moved) != identity(shards)
