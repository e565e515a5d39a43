import pickle
import pickletools
from collections import Counter
from itertools import chain

import numpy as np
import pytest

from datamodules.index import AudioFile
from datamodules.sampling import RandomCrops, StepSampler
from lincae.streams import stream_seed

RATE, SAMPLES = 16_000, 100


def corpus(name, *frames, rate=RATE, root="/data"):
    return [AudioFile(name, root, f"{number}.wav", length, rate, 1) for number, length in enumerate(frames)]


def chi_square(counts, expected):
    counts, expected = np.array(counts), np.array(expected)
    return ((counts - expected) ** 2 / expected).sum()


def philox(key, counter):
    """Philox4x64-10 from its paper (Salmon et al. 2011), in Python's integers."""
    word = 2**64 - 1
    x = [counter >> 64 * i & word for i in range(4)]
    k0, k1 = key & word, key >> 64
    for _ in range(10):
        high0, low0 = divmod(0xD2E7470EE14C6C93 * x[0], 2**64)
        high1, low1 = divmod(0xCA5A826395121157 * x[2], 2**64)
        x = [high1 ^ x[1] ^ k0, low1, high0 ^ x[3] ^ k1, low0]
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & word, (k1 + 0xBB67AE8584CAA73B) & word
    return x


@pytest.mark.parametrize(("index", "attempt"), [(0, 0), (1, 0), (123_456_789, 0), (7, 3)])
def test_the_rule_against_an_independent_philox(index, attempt):
    rule = RandomCrops({"a": corpus("a", 5000), "b": corpus("b", 900, 700)}, {"a": 3, "b": 1}, 5, RATE, SAMPLES)
    key = stream_seed(5, "crop", 0)
    # numpy counts up before it draws
    which = philox(key, (index << 192) + 1)[0]
    _, position, draw, _ = philox(key, (index << 192) + (attempt << 128) + 1)
    if which < 0.75 * 2**64:
        expected = ("a", "0.wav", position * 4901 // 2**64)
    else:
        place = position * (801 + 601) // 2**64
        expected = ("b", "0.wav", place) if place < 801 else ("b", "1.wav", place - 801)
    crop = rule(index, attempt)
    assert (crop.file.corpus, crop.file.path, crop.start) == expected
    assert crop.draw == pytest.approx(draw / 2**64, abs=1e-15)


def test_crops_do_not_depend_on_the_order_of_corpora_or_of_calls():
    files = {"a": corpus("a", 5000, 800), "b": corpus("b", 900)}
    rule = RandomCrops(files, {"a": 3, "b": 1}, 0, RATE, SAMPLES)
    crops = [rule(index, 0) for index in range(200)]
    swapped = RandomCrops(dict(reversed(files.items())), {"b": 1, "a": 3}, 0, RATE, SAMPLES)
    assert [swapped(index, 0) for index in reversed(range(200))] == crops[::-1]
    assert len(set(crops)) > 190
    other = RandomCrops(files, {"a": 3, "b": 1}, 1, RATE, SAMPLES)
    assert sum(other(index, 0) == crops[index] for index in range(200)) < 10


def test_corpora_are_drawn_by_weight_whatever_their_size():
    files = {"a": corpus("a", 200), "b": corpus("b", *[10**6] * 20), "c": corpus("c", 10**4)}
    rule = RandomCrops(files, {"a": 6, "b": 3, "c": 1}, 0, RATE, SAMPLES)
    counts = Counter(rule(index, 0).file.corpus for index in range(4000))
    assert chi_square([counts[name] for name in "abc"], [2400, 1200, 400]) < 13.8  # p = 0.001, 2 degrees of freedom


def test_places_are_uniform_over_the_time_of_a_corpus():
    lengths = (30_000, 10_000, 20_000)
    rule = RandomCrops({"a": corpus("a", *lengths)}, {"a": 1}, 0, RATE, 1)
    before = dict(zip(("0.wav", "1.wav", "2.wav"), (0, 30_000, 40_000), strict=True))
    places = [before[crop.file.path] + crop.start for crop in (rule(index, 0) for index in range(6000))]
    counts, _ = np.histogram(places, bins=12, range=(0, 60_000))
    assert chi_square(counts, [500] * 12) < 31.3  # p = 0.001, 11 degrees of freedom


def test_every_place_can_be_drawn_and_none_beyond_the_end():
    rule = RandomCrops({"a": corpus("a", 102, 100, 101)}, {"a": 1}, 0, RATE, SAMPLES)
    counts = Counter((crop.file.path, crop.start) for crop in (rule(index, 0) for index in range(3000)))
    places = [("0.wav", 0), ("0.wav", 1), ("0.wav", 2), ("1.wav", 0), ("2.wav", 0), ("2.wav", 1)]
    assert set(counts) == set(places)
    assert chi_square([counts[place] for place in places], [500] * 6) < 20.5  # p = 0.001, 5 degrees of freedom


def test_time_counts_in_seconds_not_in_frames():
    files = corpus("a", 48_000, rate=48_000) + corpus("a", 16_000, rate=16_000)
    rule = RandomCrops({"a": files}, {"a": 1}, 0, RATE, SAMPLES)
    crops = [rule(index, 0) for index in range(2000)]
    assert chi_square([sum(crop.file.rate == rate for crop in crops) for rate in (48_000, 16_000)], [1000] * 2) < 10.8
    assert max(crop.start for crop in crops) <= RATE - SAMPLES


def test_later_attempts_stay_in_the_corpus_so_that_silence_does_not_change_weights():
    rule = RandomCrops({"a": corpus("a", 10**6), "b": corpus("b", 10**6)}, {"a": 1, "b": 1}, 0, RATE, SAMPLES)
    for index in range(50):
        crops = [rule(index, attempt) for attempt in range(5)]
        assert len({crop.file.corpus for crop in crops}) == 1
        assert len({crop.start for crop in crops}) == 5


def test_the_manifest_tells_files_and_weights_but_not_where_they_lie():
    def manifest(weight=1.0, frames=(500, 600), rate=RATE, root="/data"):
        return RandomCrops({"a": corpus("a", *frames, rate=rate, root=root)}, {"a": weight}, 0, RATE, 1).manifest

    assert manifest() == manifest(root="/elsewhere")
    assert len({manifest(), manifest(weight=2.0), manifest(frames=(500,)), manifest(rate=8_000)}) == 4


def test_a_copy_for_a_worker_is_the_same_rule_and_small():
    odd = [
        AudioFile("a", "/data", name, 500, RATE, 2, shard="00001.pcm", first=7) for name in ("日本.wav", "\udcff.wav")
    ]
    rule = RandomCrops({"a": corpus("a", 900, 700) + odd}, {"a": 1}, 0, RATE, SAMPLES)
    copy = pickle.loads(pickle.dumps(rule))
    assert [copy(index) for index in range(50)] == [rule(index) for index in range(50)]
    assert {copy(index).file for index in range(50)} == {*corpus("a", 900, 700), *odd}


def test_handing_the_files_to_a_worker_takes_as_few_objects_for_many_as_for_few():
    def objects(count):
        files = [AudioFile("a", "/data", f"{number}.wav", 500, RATE, 2, content=str(number)) for number in range(count)]
        return sum(1 for _ in pickletools.genops(pickle.dumps(RandomCrops({"a": files}, {"a": 1}, 0, RATE, 1))))

    assert objects(3_000) <= objects(300) + 10


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_processes_share_the_same_global_batches(world_size):
    ranks = [list(StepSampler(8, 3, 6, 5, rank, world_size)) for rank in range(world_size)]
    batches = [list(chain(*parts)) for parts in zip(*ranks, strict=True)]
    assert batches == [list(range(8 * k, 8 * k + 8)) for k in (3, 4, 5)]


def test_the_length_is_that_of_the_epoch_and_a_finished_one_yields_nothing():
    assert len(StepSampler(8, 3, 6, 5)) == 5
    assert list(StepSampler(8, 6, 6, 5)) == []
