"""What training does with bad files: none passes, each is counted under its reason, too many stop it."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from callbacks.rejected_audio import RejectedAudio
from datamodules.corpus import Corpus
from datamodules.dataset import CropDataset
from datamodules.index import Demands, scan
from datamodules.reader import CropReader
from datamodules.sampling import RandomCrops
from datamodules.tally import Tally

pytestmark = pytest.mark.filterwarnings("ignore")

RATE, SAMPLES = 44_100, 8_000
ALONE = SimpleNamespace(world_size=1)


def train(folder, crops=150, silence=1e-3):
    """Reads crops as a training does; their audio and what was counted."""
    demands = Demands(RATE, SAMPLES, min_sample_rate=RATE, max_bad=0.5)
    index = scan("music", Corpus(str(folder)), demands)
    rule = RandomCrops({"music": index.files}, {"music": 1.0}, 0, RATE, SAMPLES)
    dataset, tally = CropDataset(rule, CropReader(RATE, SAMPLES), silence), Tally({"music": index})
    batches = [dataset.__getitems__(range(first, first + 10)) for first in range(0, crops, 10)]
    for batch in batches:
        tally.count(batch["rejected"], ALONE)
    return torch.cat([batch["audio"] for batch in batches]), tally


SCAN_ALONE = {"zero_frames.wav": "too_short", "low_rate.wav": "low_rate", "six_channels.wav": "many_channels"}
"""Whole files that training is not meant to read."""
UNHEARD = {"infinite.wav", "two_in_one.mp3", "variable_without_xing.mp3", "corrupt.ogg"}
UNHEARD |= {"says_less.flac", "chained.flac", "twice.ogg"}
"""Bad files whose crops are sound all the same: `lincae data check` finds them."""


def test_no_bad_file_passes_and_each_is_counted_under_its_reason(tmp_path, bad_file):
    path, scanned, decoded = bad_file
    name = path.rsplit("/", 1)[1]
    for number in range(3):
        noise = 0.1 * np.random.default_rng(number).standard_normal(RATE)
        soundfile.write(tmp_path / f"good{number}.wav", noise, RATE)
    audio, tally = train(tmp_path)
    assert torch.isfinite(audio).all()
    assert audio.square().mean(1).min() > 1e-6
    expected = scanned or SCAN_ALONE.get(name)
    if expected:
        assert tally.files == {expected: 1}
        assert tally.crops == {}
    elif decoded and name not in UNHEARD:
        assert tally.files == {}
        assert set(tally.crops) <= {decoded, "truncated", "silent"}
        assert sum(tally.crops.values()) > 0
        assert list(tally.indices["music"].broken) == [name]
    else:
        assert tally.files == {}


def test_silent_crops_are_counted_apart_and_their_files_are_not_broken(tmp_path):
    audio = 0.1 * np.random.default_rng(0).standard_normal(4 * RATE)
    audio[: 2 * RATE] = 0
    soundfile.write(tmp_path / "half.wav", audio, RATE)
    _, tally = train(tmp_path)
    assert set(tally.crops) == {"silent"}
    assert tally.indices["music"].broken == {}


def test_counts_go_on_after_a_resume(tmp_path):
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", np.zeros(RATE), RATE)
    index = scan("music", Corpus(str(tmp_path)), Demands(RATE, SAMPLES))
    first = Tally({"music": index})
    first.count([("music", "0.wav", "silent")] * 3 + [("music", "1.wav", "truncated")], ALONE)
    second = Tally({"music": scan("music", Corpus(str(tmp_path)), Demands(RATE, SAMPLES))})
    second.load_state_dict(first.state_dict())
    assert second.crops == {"silent": 3, "truncated": 1}
    second.count([("music", "1.wav", "truncated")], ALONE)
    assert second.crops == {"silent": 3, "truncated": 2}
    with pytest.raises(ValueError, match=r"2 of 4 files are broken.*1.wav, 2.wav.*lincae data check"):
        second.count([("music", "2.wav", "truncated")], ALONE)


class Uncounted(dict):
    """Left-out files that nobody may go through."""

    def __iter__(self):
        raise AssertionError("a step went through all files that were left out")

    keys = values = items = __iter__


def test_no_step_goes_through_the_files_that_were_left_out(tmp_path):
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", np.zeros(RATE), RATE)
    soundfile.write(tmp_path / "short.wav", np.zeros(10), RATE)
    index = scan("music", Corpus(str(tmp_path)), Demands(RATE, SAMPLES))
    index.unused = Uncounted(index.unused)
    tally, logged = Tally({"music": index}), {}
    trainer = SimpleNamespace(world_size=1, datamodule=SimpleNamespace(tally=tally))
    module = SimpleNamespace(log=logged.__setitem__)
    for _ in range(3):
        tally.count([("music", "0.wav", "silent")], trainer)
        RejectedAudio().on_train_batch_start(trainer, module, None, 0)
    assert logged == {"data/files_too_short": 1, "data/crops_silent": 3}


@pytest.mark.parametrize("datamodule", [None, SimpleNamespace()])
def test_data_of_others_has_nothing_to_log(datamodule):
    RejectedAudio().on_train_batch_start(SimpleNamespace(datamodule=datamodule), None, None, 0)


def one_of_two(rank, folder, store, answers):
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    tally = Tally({"music": scan("music", Corpus(folder), Demands(RATE, SAMPLES))})
    counts = []
    try:
        for step in range(4):
            trainer = SimpleNamespace(world_size=2, global_step=step, log_every_n_steps=2)
            tally.count([("music", f"{rank}.wav", "truncated" if step == 3 else "silent")], trainer)
            counts.append(tally.crops.get("silent", 0))
    except ValueError as error:
        answers.put((rank, counts, str(error)))


def test_processes_tell_each_other_and_stop_together(told_by_two, tmp_path):
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", np.zeros(RATE), RATE)
    told = told_by_two(one_of_two, str(tmp_path), tmp_path / "store")
    for rank, (who, counts, error) in enumerate(told):
        assert who == rank
        assert counts == [0, 4, 4]
        assert "2 of 4 files are broken" in error
