"""The page's example of reading and writing, taken from the page and run on a small model."""

import re
from pathlib import Path

import torch

from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.networks.sizes import NetworkSizes
from lincae.published import write_published
from lincae.stft import Spectrogram

PAGE = Path(__file__).parents[2] / "docs" / "published-weights.md"


def test_the_example_reads_writes_and_is_read_by_the_authors(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sizes = NetworkSizes(widths=(4, 8), strides=((2, 2),), attention=(False, True), latents=3, bottleneck=8)
    write_published(ConsistencyAutoencoder(Spectrogram(hop=64, window=256), sizes), "0a3afbec_weights")
    source = re.search(r"<!-- run by .*?-->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1)
    names: dict = {}
    exec(source, names)
    assert names["model"].scale_factor == 33
    torch.testing.assert_close(names["theirs"].encode(names["audio"]), 33 * names["latents"], rtol=0, atol=1e-3)
