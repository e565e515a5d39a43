"""How often a training looks at its own numbers."""

from __future__ import annotations

from typing import Any

UNLOGGED = 50
"""Steps from one look to the next where nothing is logged."""


def looks(trainer: Any, step: int) -> bool:
    """Whether numbers are fetched and exchanged after a step: as often as the trainer logs, or every 50th step.

    The latter with `log_every_n_steps=0`, which logs nothing of the steps.
    """
    return step % (trainer.log_every_n_steps or UNLOGGED) == 0
