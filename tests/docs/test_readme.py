"""The README's example of using a result, taken from the page and run on a checkpoint of the tiny model."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "README.md"


def test_the_example_mixes_two_clips_in_the_latent_space(fit, music, tmp_path):
    fit(f"--data.train={music}", "--trainer.max_steps=2")
    source = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1)
    names: dict = {}
    exec(source.replace("runs/demo/lin-cae/", f"{tmp_path}/"), names)
    model, sound = names["model"], names["sound"]
    assert names["mix"].shape == names["z"][:1].shape
    assert sound.shape[0] == 1
    assert abs(sound.shape[1] - model.sample_rate) < 1024  # whole latents: a little more or less than a second
    assert sound.isfinite().all()
