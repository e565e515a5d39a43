import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader

from datamodules.corpus import Corpus
from datamodules.dataset import CropDataset, as_it_is
from datamodules.index import Demands, scan
from datamodules.reader import CropReader, rms
from datamodules.sampling import RandomCrops, StepSampler

RATE, SAMPLES = 16_000, 1_000


@pytest.fixture
def crops(tmp_path):
    def make(silence=1e-3, max_bad=0.01):
        files = {"music": scan("music", Corpus(str(tmp_path)), Demands(RATE, SAMPLES, max_bad=max_bad)).files}
        rule = RandomCrops(files, {"music": 1.0}, 0, RATE, SAMPLES)
        return CropDataset(rule, CropReader(RATE, SAMPLES), silence)

    return make


def one(dataset, index):
    """A crop by itself."""
    batch = dataset.__getitems__([index])
    return {"audio": batch["audio"][0], "rejected": batch["rejected"]}


@pytest.fixture
def half_silent(tmp_path, write_noise):
    noise = write_noise("half.wav", 2.0)
    noise[:16_000] = 0
    soundfile.write(tmp_path / "half.wav", noise, RATE)


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.filterwarnings("ignore:.*upsampled")
def test_workers_read_the_same_crops_in_the_same_order(tmp_path, write_noise, crops, workers):
    for path, rate, channels in [
        ("a.wav", 16_000, 1),
        ("b.flac", 44_100, 2),
        ("c.mp3", 48_000, 2),
        ("d.ogg", 8_000, 1),
    ]:
        write_noise(path, 1.5, rate, channels)
    content = (tmp_path / "b.flac").read_bytes()
    (tmp_path / "b.flac").write_bytes(content[: len(content) // 2])
    alone, shared = (
        list(DataLoader(crops(), batch_sampler=StepSampler(6, 2, 10, 8), collate_fn=as_it_is, num_workers=number))
        for number in (0, workers)
    )
    assert len(alone) == len(shared) == 8
    assert [batch["index"] for batch in alone] == [list(range(6 * k, 6 * k + 6)) for k in range(2, 10)]
    for one, two in zip(alone, shared, strict=True):
        assert one["index"] == two["index"]
        assert one["rejected"] == two["rejected"]
        assert torch.equal(one["audio"], two["audio"])
        assert one["audio"].shape == (6, SAMPLES)
        assert one["audio"].dtype == torch.float32
    assert any(batch["rejected"] for batch in alone)


def test_silent_crops_are_replaced_and_counted(half_silent, crops):
    items = [one(crops(), index) for index in range(200)]
    assert min(rms(item["audio"].numpy()) for item in items) >= 1e-3
    replaced = [item for item in items if item["rejected"]]
    # a share p = (16000 - 1000) / 31001 of the places is silent, so the number of replacements is geometric
    total, share = sum(len(item["rejected"]) for item in items), 15 / 31
    assert total == pytest.approx(200 * share / (1 - share), abs=4 * np.sqrt(200 * share) / (1 - share))
    assert set(replaced[0]["rejected"]) == {("music", "half.wav", "silent")}
    batch = crops().__getitems__(range(200))
    assert torch.equal(batch["audio"], torch.stack([item["audio"] for item in items]))
    assert sorted(batch["rejected"]) == sorted(rejection for item in items for rejection in item["rejected"])
    kept = [one(crops(silence=0.0), index) for index in range(200)]
    assert not any(item["rejected"] for item in kept)
    for item, other in zip(items, kept, strict=True):
        assert item["rejected"] or torch.equal(item["audio"], other["audio"])


def test_a_corpus_of_silence_is_an_error_that_names_it(tmp_path, crops):
    soundfile.write(tmp_path / "silence.wav", np.zeros(RATE), RATE)
    with pytest.raises(
        RuntimeError, match=r"crop 7: none of 100 places in corpus 'music'.*'silent': 100.*--data.silence"
    ):
        crops().__getitems__([7])


def test_broken_files_are_replaced_and_named(tmp_path, write_noise, crops):
    write_noise("good.wav")
    noise = write_noise("nan.wav", seed=1)
    noise[::500] = np.nan
    soundfile.write(tmp_path / "nan.wav", noise, RATE, subtype="FLOAT")
    items = [one(crops(), index) for index in range(40)]
    assert all(torch.isfinite(item["audio"]).all() for item in items)
    assert {rejection for item in items for rejection in item["rejected"]} == {("music", "nan.wav", "not_finite")}
