"""Embeddings of clips: the table, and distances between tables."""

import math

import numpy as np
import pytest
import torch

from lincae.metrics import (
    Embedding,
    EmbeddingTable,
    LogMelStatistics,
    embedding_distances,
    embedding_summaries,
    frechet_audio_distance,
    kernel_audio_distance,
    kernel_audio_distance_interval,
)


class Levels(Embedding):
    """Mean, rms and number of samples: what a table does to audio shows in them."""

    name, sample_rate, dimensions = "levels", 16_000, 3

    def __init__(self):
        super().__init__()
        self.dropout = torch.nn.Dropout()

    def forward(self, audio):
        assert audio.dtype == torch.float32
        rms = self.dropout(audio.square().mean(-1).sqrt())
        return torch.stack([audio.mean(-1), rms, torch.full_like(rms, audio.shape[-1])], dim=-1)


def noise(rows=6, samples=4096, seed=0):
    return 0.1 * torch.randn(rows, samples, generator=torch.Generator().manual_seed(seed))


def table(audio, embed=None, sample_rate=16_000, rows=None, clips=None):
    rows = torch.arange(len(audio)) if rows is None else torch.tensor(rows)
    metric = EmbeddingTable(clips or len(audio), embed or Levels())
    metric.update(audio, rows, sample_rate)
    return metric


def test_columns_are_the_dimensions():
    audio = noise()
    metric = table(audio)
    assert metric.columns == ("levels/0", "levels/1", "levels/2")
    expected = torch.stack([audio.mean(-1), audio.square().mean(-1).sqrt(), torch.full((6,), 4096.0)], dim=-1)
    torch.testing.assert_close(metric.embeddings(), expected.double())


def test_audio_is_resampled_to_the_networks_rate():
    sine = torch.sin(2 * torch.pi * 1000 * torch.arange(44_100) / 44_100)[None]
    mean, rms, samples = table(sine, sample_rate=44_100).embeddings()[0].tolist()
    assert mean == pytest.approx(0, abs=1e-4)
    assert rms == pytest.approx(0.5**0.5, abs=2e-3)
    assert samples == 16_000


def test_clips_never_seen_have_no_embedding():
    audio = noise(3)
    torch.testing.assert_close(table(audio, rows=[4, 0, 4], clips=6).embeddings()[0], table(audio[1:2]).embeddings()[0])
    assert len(table(audio, rows=[4, 0, 4], clips=6).embeddings()) == 2


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_processes_add_their_tables_up():
    audio = noise()
    own, other = table(audio[:2], rows=[0, 4], clips=6), table(audio[2:], rows=[5, 3, 1, 2], clips=6)
    own.distributed_available_fn = lambda: True
    own.dist_sync_fn = lambda state, group: [state, other.total if state.is_floating_point() else other.seen]
    torch.testing.assert_close(own.embeddings(), table(audio, rows=[0, 4, 5, 3, 1, 2]).embeddings())


def test_autocast_and_half_precision_change_nothing():
    audio = noise(2)
    expected = table(audio, LogMelStatistics(), 44_100).embeddings()
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(table(audio, LogMelStatistics(), 44_100).embeddings(), expected, atol=0, rtol=0)
    metric = EmbeddingTable(2, LogMelStatistics()).half()
    metric.update(audio, torch.arange(2), 44_100)
    torch.testing.assert_close(metric.embeddings(), expected, atol=0, rtol=0)


def test_distances_of_tables():
    r, e = noise(40, seed=1), 2 * noise(40, seed=2)
    reference, evaluated = table(r), table(e)
    scores = embedding_distances(reference, evaluated)
    assert set(scores) == {"kad_levels", "fad_levels"}
    points = [audio_table.per_clip() for audio_table in (reference, evaluated)]
    assert scores["kad_levels"] == kernel_audio_distance(*points)
    assert scores["fad_levels"] == frechet_audio_distance(*points)


def test_different_embeddings_do_not_compare():
    with pytest.raises(ValueError, match=r"'levels' and 'logmel'"):
        embedding_distances(table(noise()), table(noise(), LogMelStatistics()))


def mel_filters(bands, rate, fft):
    """Triangles between equal steps on the mel scale 2595 log10(1 + f / 700), (bands, bins)."""
    top = 2595 * math.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    bins = np.linspace(0, rate / 2, fft // 2 + 1)
    low, centre, high = (corners[i : bands + i, None] for i in range(3))
    return np.maximum(0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))


def test_log_mel_statistics_equal_numpy():
    audio, embed = noise(2, 8192), LogMelStatistics()
    padded = np.pad(audio.numpy().astype(np.float64), ((0, 0), (1024, 1024)), mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    frames = np.stack([padded[:, i : i + 2048] for i in range(0, 8193, 512)], axis=1)
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    bands = np.log(power @ mel_filters(64, 44_100, 2048).T + 1e-6)
    statistics = np.concatenate([bands.mean(axis=1), bands.std(axis=1)], axis=-1)
    projection = torch.randn(128, 32, generator=torch.Generator().manual_seed(0)).numpy() / math.sqrt(32)
    np.testing.assert_allclose(embed(audio).numpy(), statistics @ projection, atol=5e-3)


def test_log_mel_statistics_hear_a_filter_more_than_another_take():
    """Sets of noise: the same distribution is near, a low-pass is far, both in KAD and in FAD."""
    embed = LogMelStatistics()
    first, second = noise(60, seed=1), noise(60, seed=2)
    muffled = (second + second.roll(1, dims=-1)) / 2**0.5
    tables = [table(audio, embed, 44_100) for audio in (first, second, muffled)]
    near, far = (embedding_distances(tables[0], other) for other in tables[1:])
    assert abs(near["kad_logmel"].item()) < 5
    assert far["kad_logmel"].item() > 50
    assert far["fad_logmel"].item() > 10 * near["fad_logmel"].item()


def test_silence_has_an_embedding():
    assert table(torch.zeros(1, 4096), LogMelStatistics(), 44_100).embeddings().isfinite().all()


# ------------------------------------------------------------------------------------------------------------ summaries


@pytest.mark.filterwarnings("ignore:FAD of")
def test_kad_has_the_interval_of_the_tracks_that_were_seen():
    """Clips 4 and 7 could not be read; tracks are left out in turn."""
    audio, rows, tracks = noise(8), [0, 1, 2, 3, 5, 6, 8, 9], torch.tensor([0, 0, 1, 1, 1, 2, 2, 2, 3, 3])
    reference, evaluated = (table(sound, rows=rows, clips=10) for sound in (audio, 1.5 * audio))
    summary = embedding_summaries(reference, evaluated, tracks)
    sets = reference.embeddings(), evaluated.embeddings()
    assert {name: figure.value for name, figure in summary.items()} == embedding_distances(reference, evaluated)
    expected = kernel_audio_distance_interval(*sets, tracks[rows])
    assert (summary["kad_levels"].low, summary["kad_levels"].high) == expected
    assert summary["kad_levels"].low < summary["kad_levels"].value < summary["kad_levels"].high
    assert summary["fad_levels"].low.isnan()
    assert summary["kad_levels"].number == summary["fad_levels"].number == 8
    assert summary["kad_levels"].clips is summary["fad_levels"].clips is None


@pytest.mark.filterwarnings("ignore:FAD of")
@pytest.mark.parametrize("tracks", [[0, 0, 0], [0, 0, 1]])
def test_kad_of_too_few_tracks_has_no_interval(tracks):
    audio = noise(3)
    summary = embedding_summaries(table(audio), table(2 * audio), torch.tensor(tracks))
    assert summary["kad_levels"].value.isfinite()
    assert summary["kad_levels"].low.isnan()


def test_distances_from_a_clip_that_diverged_are_nan():
    audio = noise()
    diverged = audio.clone()
    diverged[2, 5] = torch.nan
    summary = embedding_summaries(table(audio), table(diverged), torch.arange(6))
    for figure in summary.values():
        assert figure.value.isnan()
        assert figure.low.isnan()
        assert figure.number == 6
    with pytest.raises(ValueError, match="reference set: the embeddings of 1 clips are not finite"):
        embedding_summaries(table(diverged), table(audio), torch.arange(6))
