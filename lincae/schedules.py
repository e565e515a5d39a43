"""What changes over a training: pure functions of progress = step / total steps, in [0, 1].

None of them knows a step count, an epoch or a trainer, so a run of two steps is as legal as one of 800,000.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class GainSchedule:
    """The range from which random gains are drawn (implicit homogeneity, Lin-CAE).

    Args:
        low, high: the range at the start, a ~ U(low, high).
        anneal: whether the range narrows to [1, 1]. False keeps it to the end (Lin-CAE-2).
        hold: progress up to which the starting range is kept.
        end: progress from which the range is [1, 1]; in between both ends follow a half cosine.

    Raises:
        ValueError: if low > high or not 0 <= hold < end <= 1.
    """

    low: float = 0.0
    high: float = 3.0
    anneal: bool = True
    hold: float = 0.2
    end: float = 0.9

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"gain range [{self.low}, {self.high}] is empty: low must not exceed high")
        if not 0 <= self.hold < self.end <= 1:
            raise ValueError(f"gain schedule needs 0 <= hold < end <= 1, got hold={self.hold}, end={self.end}")

    def __call__(self, progress: float) -> tuple[float, float]:
        """The range (low, high) at this progress."""
        width = half_cosine((progress - self.hold) / (self.end - self.hold)) if self.anneal else 1.0
        return 1 + width * (self.low - 1), 1 + width * (self.high - 1)


@dataclass(frozen=True)
class StepSchedule:
    """The step between the two noise levels of consistency training, base^e with e linear in progress.

    Args:
        base: 0.1 in the reference.
        start, end: exponent at progress 0 and 1; 1 -> 2 for Lin-CAE, 1 -> 3 for Music2Latent.
    """

    base: float = 0.1
    start: float = 1.0
    end: float = 2.0

    def __call__(self, progress):
        """The step in (0, 1], as a float or a 0-dim tensor, whichever `progress` is."""
        return self.base ** (self.start + (self.end - self.start) * progress)


@dataclass(frozen=True)
class LearningRateSchedule:
    """A factor on the optimiser's learning rate: linear warm-up from 0, then a half cosine.

    Args:
        warmup: share of training spent warming up; 1/80 is the reference's 10k of 800k steps.
        final: factor at the end; 0.01 takes the reference's 1e-4 to 1e-6.
    """

    warmup: float = 1 / 80
    final: float = 0.01

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is a share of training in [0, 1), got {self.warmup}")
        if self.final < 0:
            raise ValueError(f"final is a factor of 0 or more, got {self.final}")

    def __call__(self, progress: float) -> float:
        if progress < self.warmup:
            return progress / self.warmup
        return self.final + (1 - self.final) * half_cosine((progress - self.warmup) / (1 - self.warmup))


def half_cosine(x: float) -> float:
    """1 for x <= 0, 0 for x >= 1, half a period of a cosine in between."""
    return 0.5 * (1 + math.cos(math.pi * min(max(x, 0.0), 1.0)))


def ema_decay(update: int, decay: float) -> float:
    """Decay of the n-th update of the averaged weights, n from 1: min(decay, (1 + n) / (10 + n))."""
    return min(decay, (1 + update) / (10 + update))
