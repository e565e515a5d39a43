"""The object for users of a trained model: audio of any length to latents and back."""

from __future__ import annotations

import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelHubMixin
from torch import Tensor, nn

from lincae.autoencoders.protocol import channels_of
from lincae.chunk_plan import ChunkPlan
from lincae.chunking import Part, batches, cut, join
from lincae.decoding_noise import SequentialDraws, by_position, given, in_order
from lincae.devices import usable
from lincae.framing import Framing
from lincae.pretrained import load_pretrained, write_saved

PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)

Progress = Callable[[list[Any]], Iterable[Any]]
"""Passes on the batches that it is given, and tells somebody: `tqdm`, for example."""

CARD = """---
{{ card_data }}
---

An audio autoencoder, saved by `lincae`:

```python
from lincae import Autoencoder

model = Autoencoder.from_pretrained("OWNER/NAME")
audio = model.decode(model.encode(clips), full_length=clips.shape[-1])
```

Paper: {{ paper_url }}
"""


class Autoencoder(
    nn.Module,
    ModelHubMixin,
    library_name="lincae",
    tags=["audio", "autoencoder"],
    paper_url="https://arxiv.org/abs/2510.23530",
    model_card_template=CARD,
):
    """A trained autoencoder: audio to latents, latents to audio.

    No result has a gradient; `autoencoder` is the module to differentiate. Results are on the device of what they were
    made from, whatever the model's: parts of a long signal leave the model's device one by one. All arguments are
    attributes that may be changed later.

    Args:
        autoencoder: a `lincae.autoencoders.protocol.LatentAutoencoder` with a `framing`. Its 4-D weights are put into
            channels-last order, in which wide maps are faster (benchmarks/inference.py).
        scale_factor: latents are multiplied by it after encoding, and divided before decoding.
        max_chunk_size: longer audio is processed in chunks of so many samples; None for none.
        overlap_percentage: share of a chunk over which it fades into the next, from 0 to 0.5.
        max_batch_size: most clips or chunks that are in the networks at a time.
        dtype: of the networks' arithmetic: float32, bfloat16 or float16. Spectrograms, latents and audio are float32.
        seamless: whether chunks are joined to one sequence of latents (N, D, L), without audible joins, or kept apart,
            (N, chunks, D, L), as in the published package.
        padded_edges: whether audio, or each chunk, is encoded with `framing.margin` more samples on either side, so
            that all of it is restored. In the published package it is not, and the ends fade over so many samples.

    Raises:
        TypeError: if the autoencoder has no framing.
        ValueError: if an argument is not as described.
    """

    def __init__(
        self,
        autoencoder: nn.Module,
        scale_factor: float = 1.0,
        max_chunk_size: int | None = None,
        overlap_percentage: float = 0.25,
        max_batch_size: int = 1,
        dtype: torch.dtype = torch.float32,
        *,
        seamless: bool = False,
        padded_edges: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(getattr(autoencoder, "framing", None), Framing):
            raise TypeError(
                f"{type(autoencoder).__name__} has no framing: give it one, as in lincae/autoencoders/protocol.py"
            )
        self.autoencoder: Any = autoencoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.scale_factor = scale_factor
        self.max_chunk_size = max_chunk_size
        self.overlap_percentage = overlap_percentage
        self.max_batch_size = max_batch_size
        self.dtype = dtype
        self.seamless = seamless
        self.padded_edges = padded_edges
        self.eval()
        self._check()
        _ = self.plan

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        source: str | Path,
        scale_factor: float | None = None,
        max_chunk_size: int | None = None,
        overlap_percentage: float = 0.25,
        max_batch_size: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        seamless: bool = False,
        padded_edges: bool = False,
    ) -> Autoencoder:
        """A model from a file, a folder, or the Hugging Face Hub.

        Args:
            source: see `lincae.pretrained.load_pretrained`.
            scale_factor: None for the published, measured or stored one. Where it is missing a warning says so, and
                latents are as the encoder makes them.
            device: None for a GPU where there is one; see `lincae.devices.usable`.
            dtype: None for float32.
            max_chunk_size, overlap_percentage, max_batch_size, seamless, padded_edges: as in the constructor.

        Raises:
            ValueError, OSError: if the source cannot be read, or an argument is not as described: which, and the cure.
        """
        device = usable(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        autoencoder, stored = load_pretrained(source)
        if scale_factor is None and stored is None:
            warnings.warn(
                f"NO SCALE FACTOR in {source}: its latents are as the encoder makes them, times 1, not of unit "
                "variance. Measure it on audio like that of the training, 1 / model.encode(audio).std(), and give it: "
                "from_pretrained(..., scale_factor=S), or lincae export SOURCE DIR --scale-factor S",
                stacklevel=2,
            )
        if scale_factor is None:
            scale_factor = 1.0 if stored is None else stored
        model = cls(
            autoencoder,
            scale_factor,
            max_chunk_size,
            overlap_percentage,
            max_batch_size,
            dtype or torch.float32,
            seamless=seamless,
            padded_edges=padded_edges,
        )
        return model.to(device)

    def save_pretrained(self, save_directory: str | Path, **hub: Any) -> None:
        """Writes weights, configuration and scale factor to a folder for `from_pretrained`, wholly or not at all.

        Args:
            save_directory: new or empty.
            hub: `model_card_kwargs` of `ModelHubMixin.save_pretrained`.

        Raises:
            FileExistsError: if there is something in the folder.
            TypeError: if the autoencoder cannot be described, see `lincae.settings.settings_of`.
        """
        folder = Path(save_directory)
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            raise FileExistsError(f"{folder} is not empty, and nothing is overwritten: give another folder")
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            super().save_pretrained(partial, **hub)
            os.replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _save_pretrained(self, save_directory: Path) -> None:
        write_saved(save_directory, self.autoencoder, self.scale_factor)

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        tensor = next(chain(self.parameters(), self.buffers()), None)
        return torch.device("cpu") if tensor is None else tensor.device

    @property
    def sample_rate(self) -> int:
        """Of all audio, Hz."""
        return self.autoencoder.sample_rate

    @property
    def framing(self) -> Framing:
        """Lengths without padding: hop, window, samples per latent."""
        return self.autoencoder.framing

    def latent_length(self, samples: int) -> int:
        """Latents L in the sequence of a clip of so many samples."""
        return self.plan.latents(samples)

    def audio_length(self, latents: int) -> int:
        """Samples that a sequence of so many latents decodes to."""
        return self.plan.decoded(latents)

    @property
    def plan(self) -> ChunkPlan:
        """Where edges and chunks lie. Made when it is needed, since attributes can change."""
        return ChunkPlan(self.framing, self.max_chunk_size, self.overlap_percentage, self.seamless, self.padded_edges)

    def encode(self, audio: Tensor, progress: Progress = iter) -> Tensor:
        """Latents of audio.

        Samples after the last whole frame of the STFT are not seen, fewer than a hop, unless edges are padded. Audio
        shorter than one window is taken to end in silence.

        Args:
            audio: (N, T) or (T,), full scale 1, at `sample_rate`; for models of C channels (N, C, T) or (C, T).
            progress: is given the list of batches and passes them on, such as `tqdm`.

        Returns:
            float32, (N, D, L), or (N, chunks, D, L) for audio longer than `max_chunk_size` unless `seamless`. Audio
            (T,) is one row.

        Raises:
            ValueError: if the audio has other axes, no samples, more clips than samples, or whole numbers.
        """
        return self._encoded(audio, lambda clips: self.autoencoder.encode(clips) * self.scale_factor, progress)

    def features(self, audio: Tensor, progress: Progress = iter) -> Tensor:
        """The encoder's map before its bottleneck, for other tasks than decoding; not multiplied by the scale factor.

        Args:
            audio, progress: as in `encode`.

        Returns:
            As `encode`, with more channels.
        """
        return self._encoded(audio, self.autoencoder.features, progress)

    def sample_noise(self, latents: Tensor, steps: int = 1, generator: torch.Generator | None = None) -> Tensor | None:
        """Noise to give to several calls of `decode`, so that they differ by their latents alone.

        Args:
            latents: (N, D, L).
            steps: of decoding.
            generator: None for torch's global one.

        Returns:
            (N, steps, ..., frames), on the model's device, or None if decoding is deterministic.
        """
        parts = [Part(row, 0) for row in range(len(latents))]
        return in_order(self.autoencoder, steps, self._draws(generator))(parts, latents.to(self.device))

    @torch.no_grad()
    def decode(
        self,
        latents: Tensor,
        full_length: int | None = None,
        steps: int = 1,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
        progress: Progress = iter,
    ) -> Tensor:
        """Audio of latents.

        Noise that is not given is drawn as in the published package, from torch's global generator unless there is
        another: the same seed gives the same audio. A sequence in several chunks takes one number from it and makes the
        noise of each latent from this and the latent's place, so that chunks agree where they overlap.

        Args:
            latents: (N, D, L), or (N, chunks, D, L).
            full_length: samples of the audio that was encoded; None for all that the latents decode to. Its last
                samples, fewer than a hop, are silent where the encoder did not see them.
            steps: of decoding.
            noise: N(0, 1), for a sequence (N, steps, ..., frames) as `sample_noise` makes it, for chunks
                (N, chunks, steps, ..., frames).
            generator: on any device.
            progress: as in `encode`.

        Returns:
            float32, (N, full_length), or (N, C, full_length) for models of C channels.

        Raises:
            ValueError: if the latents or the noise have other axes, or the length is not one that was encoded to them.
        """
        latents = latents.float()
        if latents.dim() not in (3, 4):
            raise ValueError(f"latents must be (N, D, L) or (N, chunks, D, L), got {tuple(latents.shape)}")
        decoded = self._decoded_sequences if latents.dim() == 3 else self._decoded_chunks
        return decoded(latents, full_length, noise, steps, self._draws(generator), progress)

    @torch.no_grad()
    def _encoded(self, audio: Tensor, encode: Callable[[Tensor], Tensor], progress: Progress) -> Tensor:
        """What `encode` makes of audio, in chunks where it is long."""
        audio, plan = clips(audio, channels_of(self.autoencoder)), self.plan
        rows, samples = len(audio), audio.shape[-1]
        sources = plan.sources(samples)
        encoded = self._run(
            [stop - start for start, stop in sources],
            rows,
            lambda part: cut(audio[part.row], *sources[part.number]),
            lambda parts, batch: encode(batch),
            progress,
        )
        if plan.is_apart(samples):
            return torch.stack([latents for _, latents in encoded]).unflatten(0, (rows, len(sources)))
        length = plan.latents(samples)
        chunks = plan.sequence(length)
        placed = ((part.row, chunks[part.number], latents) for part, latents in encoded)
        return join(placed, rows, length, audio.device)

    def _decoded_sequences(
        self,
        latents: Tensor,
        full_length: int | None,
        noise: Tensor | None,
        steps: int,
        draws: SequentialDraws,
        progress: Progress,
    ) -> Tensor:
        """Sequences (N, D, L) -> audio (N, full_length), in chunks where they are long."""
        plan = self.plan
        rows, _, length = latents.shape
        samples = checked_length(full_length, plan.decoded(length), plan.longest(length))
        chunks = plan.sequence(length)
        if noise is not None:
            noise_of = given(noise, length, chunks)
        elif len(chunks) == 1:
            noise_of = in_order(self.autoencoder, steps, draws)
        else:
            noise_of = by_position(self.autoencoder, steps, draws, chunks)

        decoded = self._run(
            [chunk.stop - chunk.start for chunk in chunks],
            rows,
            lambda part: latents[part.row, :, chunks[part.number].start : chunks[part.number].stop],
            lambda parts, z: self.autoencoder.decode(z / self.scale_factor, noise_of(parts, z), steps),
            progress,
        )
        placed = ((part.row, plan.heard(chunks[part.number]), audio) for part, audio in decoded)
        joined = join(placed, rows, self.framing.samples(length), latents.device)
        return cut(joined, plan.lead, plan.lead + samples)

    def _decoded_chunks(self, latents: Tensor, full_length: int | None, noise: Tensor | None, *decoding: Any) -> Tensor:
        """Chunks (N, chunks, D, L) -> audio (N, full_length)."""
        rows, count, _, length = latents.shape
        chunks = self.plan.apart(count, length)
        covered = self.plan.covered(count)
        samples = checked_length(full_length, covered, covered)
        noise = noise if noise is None else noise.flatten(0, 1)
        audio = self._decoded_sequences(latents.flatten(0, 1), chunks[0].stop, noise, *decoding)
        places = [(row, chunk) for row in range(rows) for chunk in chunks]
        placed = ((row, chunk, piece) for (row, chunk), piece in zip(places, audio, strict=True))
        return join(placed, rows, samples, latents.device)

    def _run(
        self,
        lengths: list[int],
        rows: int,
        take: Callable[[Part], Tensor],
        compute: Callable[[list[Part], Tensor], Tensor],
        progress: Progress,
    ) -> Iterator[tuple[Part, Tensor]]:
        """What the networks make of each part; results leave their device batch by batch."""
        self._check()
        for batch in progress(batches(rows, lengths, self.max_batch_size)):
            taken = torch.stack([take(part) for part in batch])
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                computed = compute(batch, taken.to(self.device))
            yield from zip(batch, computed.float().to(taken.device), strict=True)

    def _draws(self, generator: torch.Generator | None) -> SequentialDraws:
        return SequentialDraws(generator, self.device)

    def _check(self) -> None:
        if self.dtype not in PRECISIONS:
            raise ValueError(f"dtype must be one of {', '.join(map(str, PRECISIONS))}, got {self.dtype}")
        if self.max_batch_size < 1:
            raise ValueError(f"max_batch_size must be 1 or more, got {self.max_batch_size}")
        if not math.isfinite(self.scale_factor) or self.scale_factor == 0:
            raise ValueError(f"scale_factor must be a number other than 0, got {self.scale_factor}")


def clips(audio: Tensor, channels: int = 1) -> Tensor:
    """Audio (N, T) or (T,) as (N, T), float32; of several channels, (N, C, T) or (C, T) as (N, C, T).

    Raises:
        ValueError: if it has other axes, no samples, more clips than samples, or whole numbers.
    """
    inner = "T" if channels == 1 else f"{channels}, T"
    axes = 1 if channels == 1 else 2
    if audio.dim() not in (axes, axes + 1) or not audio.numel() or (axes == 2 and audio.shape[-2] != channels):
        single = "T," if channels == 1 else inner
        raise ValueError(
            f"audio must be (N, {inner}) or ({single}) with N and T above 0, got {tuple(audio.shape)}; of an array "
            "(T, C), as soundfile reads it, give the transpose"
        )
    if audio.dim() > axes and len(audio) > audio.shape[-1]:
        raise ValueError(
            f"audio {tuple(audio.shape)} is longer in clips than in samples: of an array (T, C), as soundfile reads "
            "it, give the transpose, audio.T"
        )
    if not audio.is_floating_point():
        raise ValueError(f"audio must be floating point, got {audio.dtype}: divide it by its full scale")
    return (audio if audio.dim() > axes else audio[None]).float()


def checked_length(asked: int | None, usual: int, longest: int) -> int:
    """The length asked for, or the usual one.

    Raises:
        ValueError: if it is not from 1 to the longest.
    """
    length = usual if asked is None else asked
    if not 0 < length <= longest:
        raise ValueError(f"full_length is {length}: these latents are of audio of 1 to {longest} samples")
    return length
