"""Grids and cross-fades: every position is covered, weights are linear and sum to one."""

import pytest
import torch

from lincae.chunking import Chunk, batches, cut, faded, fitted_grid, fixed_grid, join

SHAPES = [(10, 0), (10, 1), (10, 3), (10, 5), (2, 1), (1, 0)]


@pytest.mark.parametrize(("size", "overlap"), SHAPES)
@pytest.mark.parametrize("grid", [fixed_grid, fitted_grid])
def test_weights_sum_to_one_everywhere(grid, size, overlap):
    for length in range(1, 60):
        chunks = grid(length, size, overlap)
        total = torch.zeros(max(chunk.stop for chunk in chunks))
        for chunk in chunks:
            weights = chunk.weights()
            assert (weights >= 0).all()
            total[chunk.start : chunk.stop] += weights
        torch.testing.assert_close(total, torch.ones_like(total))


@pytest.mark.parametrize(("size", "overlap"), SHAPES)
def test_a_fixed_grid_covers_the_length_with_the_fewest_whole_chunks(size, overlap):
    for length in range(1, 60):
        chunks = fixed_grid(length, size, overlap)
        assert [chunk.start for chunk in chunks] == [i * (size - overlap) for i in range(len(chunks))]
        assert all(chunk.stop - chunk.start == size for chunk in chunks)
        assert chunks[-1].stop >= length
        assert len(chunks) == 1 or chunks[-2].stop < length


@pytest.mark.parametrize(("size", "overlap"), SHAPES)
def test_a_fitted_grid_ends_with_the_length(size, overlap):
    for length in range(1, 60):
        chunks = fitted_grid(length, size, overlap)
        assert chunks[0].start == 0
        assert chunks[-1].stop == length
        assert all(chunk.stop - chunk.start == min(size, length) for chunk in chunks)
        assert [chunk.start for chunk in chunks[:-1]] == [i * (size - overlap) for i in range(len(chunks) - 1)]


def test_grids_of_two_lengths_agree_but_for_the_last_chunk():
    assert fitted_grid(50, 10, 2)[:4] == fitted_grid(47, 10, 2)[:4]


def test_a_fade_is_a_straight_line():
    first, last = fixed_grid(15, 10, 5)
    torch.testing.assert_close(first.weights(), torch.tensor([1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0]))
    torch.testing.assert_close(last.weights(), torch.tensor([0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1]))


def test_what_a_moved_chunk_shares_beyond_the_overlap_is_not_heard_from_it():
    """Chunks 0..10, 8..18 and, instead of 16..26, 11..21: the fade stays at the end of the second."""
    first, second, last = fitted_grid(21, 10, 2)
    assert (last.start, last.stop, last.fade_in, second.fade_out) == (11, 21, (16, 18), (16, 18))
    torch.testing.assert_close(last.weights(), torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 1.0]))
    torch.testing.assert_close(second.weights(), torch.tensor([0, 1, 1, 1, 1, 1, 1, 1, 1, 0.0]))
    assert first.fade_out == second.fade_in == (8, 10)


def test_the_samples_of_latents():
    """100 samples a latent and 30 more at the end, at either end of which 30 fade by themselves."""
    chunk = Chunk(8, 18, (8, 10), (16, 18)).decoded(period=100, margin=30)
    assert chunk == Chunk(800, 1830, (830, 1000), (1630, 1800))
    assert Chunk(0, 4).decoded(100, 30) == Chunk(0, 430)


def test_chunks_with_gaps_do_not_fade():
    assert faded([(0, 9), (10, 19)], overlap=-1) == [Chunk(0, 9), Chunk(10, 19)]


@pytest.mark.parametrize(("size", "overlap"), [(10, 6), (10, -1), (1, 1)])
@pytest.mark.parametrize("grid", [fixed_grid, fitted_grid])
def test_chunks_of_which_three_would_meet_are_refused(grid, size, overlap):
    with pytest.raises(ValueError, match=r"overlap_percentage from 0 to 0\.5"):
        grid(20, size, overlap)


@pytest.mark.parametrize(("size", "overlap"), SHAPES)
@pytest.mark.parametrize("grid", [fixed_grid, fitted_grid])
def test_what_was_cut_is_joined(grid, size, overlap, normal):
    for length in (1, 9, 10, 11, 33, 40):
        signals = normal(2, 3, length)
        parts = [
            (row, chunk, cut(signal, chunk.start, chunk.stop))
            for row, signal in enumerate(signals)
            for chunk in grid(length, size, overlap)
        ]
        torch.testing.assert_close(join(parts, 2, length, torch.device("cpu")), signals)


def test_one_chunk_is_joined_unchanged(normal):
    signal = normal(3, 7)
    assert torch.equal(join([(0, Chunk(0, 7), signal)], 1, 7, torch.device("cpu"))[0], signal)


def test_cutting_outside_a_signal_gives_silence():
    signal = torch.tensor([[1.0, 2.0, 3.0]])
    assert cut(signal, -2, 5).tolist() == [[0, 0, 1, 2, 3, 0, 0]]
    assert cut(signal, 1, 2).tolist() == [[2]]
    assert cut(signal, -3, -1).tolist() == [[0, 0]]
    assert cut(signal, 3, 5).tolist() == cut(signal, 7, 9).tolist() == [[0, 0]]


def test_batches_go_row_by_row_in_equal_lengths():
    assert batches(2, [5, 5, 5], 2) == [[(0, 0), (0, 1)], [(0, 2), (1, 0)], [(1, 1), (1, 2)]]
    assert batches(2, [5, 5, 3], 4) == [[(0, 0), (0, 1)], [(0, 2)], [(1, 0), (1, 1)], [(1, 2)]]
