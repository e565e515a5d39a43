"""CLAP as an embedding: a network trained on pairs of audio and text, from a folder on this machine."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lincae.metrics import Embedding


class Clap(Embedding):
    """`clap`: audio embeddings of a CLAP model, of unit length for clips of up to 10 s; the mean over parts of others.

    The library's own feature extractor crops longer clips at random; here they are cut into equal parts that it takes
    whole, so an embedding depends on the clip alone. Source: Wu et al., Large-scale Contrastive Language-Audio
    Pretraining (arXiv 2211.06687).

    Args:
        model: a `transformers.ClapModel`.
        extractor: its `transformers.ClapFeatureExtractor`.
    """

    name = "clap"

    def __init__(self, model: Any, extractor: Any) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.extractor = extractor
        self.sample_rate, self.dimensions = extractor.sampling_rate, model.config.projection_dim

    def forward(self, audio: Tensor) -> Tensor:
        """Audio (N, T), full scale 1 -> embeddings (N, D), D = 512 for the published weights."""
        parts = audio.tensor_split(math.ceil(audio.shape[-1] / self.extractor.nb_max_samples), dim=-1)
        return torch.stack([self._embed(part) for part in parts]).mean(dim=0)

    def _embed(self, audio: Tensor) -> Tensor:
        features = self.extractor(list(audio.cpu().numpy()), sampling_rate=self.sample_rate, return_tensors="pt")
        short = torch.zeros_like(features["is_longer"])  # the extractor calls one clip of a batch long, at random
        found = self.model.get_audio_features(features["input_features"].to(audio), short.to(audio.device))
        return found.pooler_output


def load_clap(folder: str | Path) -> Clap:
    """CLAP from a folder, without a network.

    Args:
        folder: with `config.json`, `preprocessor_config.json` and the weights, as in the repositories
            `laion/clap-htsat-unfused` and `laion/larger_clap_music`.

    Raises:
        ModuleNotFoundError: without the package `transformers`.
        FileNotFoundError: if the folder does not hold those files.
        ValueError: if they are of another model or damaged.
    """
    try:
        from safetensors import SafetensorError
        from transformers import ClapFeatureExtractor, ClapModel
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("CLAP needs transformers: pip install transformers") from error
    folder = Path(folder).expanduser()
    lacks = [name for name in ("config.json", "preprocessor_config.json") if not (folder / name).is_file()]
    if lacks:
        raise FileNotFoundError(
            f"{folder} holds no {lacks[0]}: download the files of laion/clap-htsat-unfused or laion/larger_clap_music, "
            "*.json and the weights, into a folder, and give that"
        )
    try:
        model, loaded = ClapModel.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    except SafetensorError as error:
        raise ValueError(f"weights in {folder} are damaged: {error}. Download them again") from error
    heard = {
        name for name, value in model.state_dict().items() if name.startswith("audio") and value.is_floating_point()
    }
    if missing := sorted(heard & loaded["missing_keys"]):  # the library would go on with random ones
        raise ValueError(f"{folder} lacks {len(missing)} weights of CLAP, such as {missing[0]}: is it another model?")
    return Clap(model, ClapFeatureExtractor.from_pretrained(folder, local_files_only=True))
