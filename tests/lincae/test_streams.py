"""Random streams: what they depend on, and what they do not."""

import pytest
import torch

from lincae.streams import Draws, stream_seed


def test_seeds_never_change():
    """These numbers are part of every run: with another hash, old runs could not be repeated."""
    assert stream_seed(0, "gain", 0) == 190_045_680_150_518_066
    assert stream_seed(0, "noise", 0) == 5_858_681_329_433_569_406
    assert stream_seed(1, "noise", 0) == 8_365_550_234_235_266_818
    assert stream_seed(0, "noise", 123_456) == 5_459_219_088_122_616_595


def test_seeds_are_63_bit_and_distinct():
    seeds = [
        stream_seed(seed, purpose, index) for seed in (0, 1) for purpose in ("gain", "mix") for index in range(500)
    ]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) >= 0
    assert max(seeds) < 2**63
    assert sum(seeds) / len(seeds) / 2**62 == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("draw", [Draws.uniform, Draws.normal])
def test_draws_do_not_depend_on_what_else_is_in_the_batch(draw):
    together = draw(Draws(0, [3, 4]), "noise", 8, 2, 5)
    apart = [draw(Draws(0, [group]), "noise", 4, 2, 5) for group in (3, 4)]
    assert together.shape == (8, 2, 5)
    assert torch.equal(together, torch.cat(apart))
    assert torch.equal(draw(Draws(0, [4, 3]), "noise", 8, 2, 5), torch.cat(apart[::-1]))


@pytest.mark.parametrize("draw", [Draws.uniform, Draws.normal])
def test_draws_repeat_whatever_was_drawn_before(draw):
    draws = Draws(0, [3, 4])
    first = draw(draws, "gain", 4)
    draw(draws, "mix", 10)
    torch.rand(7)
    assert torch.equal(draw(draws, "gain", 4), first)
    assert torch.equal(draw(Draws(0, [3, 4]), "gain", 4), first)


def test_draws_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    Draws(0, [0]).normal("noise", 5)
    assert torch.equal(torch.get_rng_state(), before)


def test_purposes_groups_and_seeds_differ():
    reference = Draws(0, [3]).uniform("gain", 50)
    others = [
        Draws(0, [3]).uniform("mix", 50),
        Draws(0, [4]).uniform("gain", 50),
        Draws(1, [3]).uniform("gain", 50),
    ]
    for other in others:
        assert not torch.isclose(other, reference, atol=1e-6).any()


def test_blocks_come_from_their_streams():
    generator = torch.Generator().manual_seed(stream_seed(9, "gain", 2))
    assert torch.equal(Draws(9, [1, 2]).uniform("gain", 6)[3:], torch.rand(3, generator=generator))


@pytest.mark.parametrize("draw", [Draws.uniform, Draws.normal])
def test_rows_that_do_not_divide_into_groups_are_refused(draw):
    with pytest.raises(ValueError, match=r"5 rows of 'gain' do not divide into the batch's 2 groups"):
        draw(Draws(0, [0, 1]), "gain", 5)


def test_moments_over_many_groups():
    """One number from each of 5000 streams, so that streams which resemble one another would show."""
    draws = Draws(0, range(5000))
    uniform, normal = draws.uniform("gain", 5000).double(), draws.normal("noise", 5000).double()
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert uniform.mean().item() == pytest.approx(1 / 2, abs=4 * (1 / 12 / 5000) ** 0.5)
    assert uniform.var().item() == pytest.approx(1 / 12, abs=4 * (1 / 180 / 5000) ** 0.5)
    assert normal.mean().item() == pytest.approx(0, abs=4 * (1 / 5000) ** 0.5)
    assert normal.var().item() == pytest.approx(1, abs=4 * (2 / 5000) ** 0.5)
    for numbers in (uniform, normal):  # neighbouring streams are not correlated
        centred = numbers - numbers.mean()
        assert abs((centred[1:] * centred[:-1]).mean() / centred.var()) < 4 / 5000**0.5
