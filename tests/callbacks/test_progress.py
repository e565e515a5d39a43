"""The progress bar."""

from types import SimpleNamespace

import torch

from callbacks import Progress


def test_it_shows_what_was_logged_and_the_steps_taken():
    trainer = SimpleNamespace(
        callback_metrics={"train/loss": torch.tensor(0.25), "train/latent_std": torch.tensor(1.0)},
        datamodule=SimpleNamespace(tally=SimpleNamespace(crops={"silent": 2})),
        global_step=3,
        max_steps=40,
    )
    assert Progress().get_metrics(trainer, None) == {"step": "3/40", "loss": 0.25, "silent": 2}
