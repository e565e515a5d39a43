"""The README's example of using a result, taken from the page and run on a checkpoint of the tiny model."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "README.md"


def test_the_example_mixes_two_clips_in_the_latent_space(fit, music, tmp_path):
    fit(f"--data.train={music}", "--trainer.max_steps=2")
    source = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1)
    names: dict = {}
    exec(source.replace("runs/demo/lin-cae", str(tmp_path)), names)
    assert names["z"].shape[0] == 2
    assert names["sound"].shape == (1, names["model"].sample_rate)
    assert names["sound"].isfinite().all()
