"""Metrics of unequal numbers of clips in two processes, against those of one."""

import math

import numpy as np
import pytest
import soundfile
from validations import RATE, metrics, metrics_of_all

SETS = [
    (3, 3),  # two and one
    (2, 2),  # one each: what is compared with another clip finds none in its process
    (5, 1),  # a process without a track
    (1, 1),  # one without anything
]


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    for number in range(4):
        noise = 0.2 * np.random.default_rng(number).standard_normal(RATE)
        soundfile.write(folder / f"{number}.wav", noise, RATE, subtype="FLOAT")
    return str(folder)


@pytest.fixture(scope="module")
def shared(sounds, together):
    """The metrics of all sets, in each of two processes."""
    return together(2, metrics_of_all, sounds, SETS, 2)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", range(len(SETS)), ids=[f"{clips} clips, {tracks} tracks" for clips, tracks in SETS])
def test_unequal_shares_have_the_metrics_of_one_process(sounds, shared, case):
    expected = metrics(sounds, *SETS[case])
    several = SETS[case][0] > 1  # a single clip cannot be compared with another one
    assert ("val/kad_logmel" in expected) == several
    for name in ("val/reconstruction/mss", *several * ("val/shuffled/mss", "val/mixing/mix_rate", "val/kad_logmel")):
        assert math.isfinite(expected[name])
    for found in shared:
        assert found[case] == pytest.approx(expected, rel=1e-6, nan_ok=True)


@pytest.mark.filterwarnings("ignore")
def test_metrics_do_not_depend_on_the_batch_size(sounds):
    whole = metrics(sounds, 3, 3, batch_size=3)
    assert len(whole) > 80
    for batch_size in (1, 2):
        assert metrics(sounds, 3, 3, batch_size) == pytest.approx(whole, rel=1e-5, nan_ok=True)
