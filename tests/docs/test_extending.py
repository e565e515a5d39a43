"""The documents' augmentation, taken from the page and trained with."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


def test_the_documented_augmentation_trains(fit, music, tmp_path):
    source = re.search(r"<!-- run by .*?-->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1)
    witness = '        assert module.global_step < 2\n        print("muted", int((~heard).sum()))\n        return'
    (tmp_path / "mute.py").write_text(source.replace("        return mixture", f"{witness} mixture"))
    done = fit(
        f"--data.train={music}",
        "--trainer.max_steps=2",
        "--callbacks.polarity=mute.MuteRows",
        "--callbacks.polarity.probability=1.0",
        PYTHONPATH=str(tmp_path),
    )
    assert done.stdout.count("muted 8") == 2
