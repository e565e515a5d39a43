"""Are the joins of long files worse than the inside of a chunk?

    python benchmarks/joins.py runs/demo/lin-cae                          synthetic music
    python benchmarks/joins.py lin-cae --data /data/musdb18hq/test        files, whose first minutes are taken

Each file is decoded twice, the second time without its beginning, so that the second grid of chunks lies half a chunk
later: where one has a join, the other is inside a chunk, with the same sound and, in a sequence, the same noise.
Prints a table and, as its last line, JSON. Distances are to the original; "whole" is the file in one piece, and "worst"
is the most by which the SNR at a join is below that of the same place inside a chunk.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from datamodules.synthetic import track
from lincae import Autoencoder
from lincae.metrics.ratios import signal_to_noise
from lincae.metrics.spectral import multi_scale_spectral

MODES = {
    "seamless": {"seamless": True, "padded_edges": True},
    "kept apart, padded edges": {"padded_edges": True},
    "kept apart, published edges": {},
}
SHORTEST = 2048  # samples of a place that is compared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="what lincae.Autoencoder.from_pretrained takes")
    parser.add_argument("--data", type=Path, help="folder of audio; default: synthetic music")
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each file")
    parser.add_argument("--chunk-seconds", type=float, default=5.0)
    parser.add_argument("--overlap", type=float, default=0.25, help="share of a chunk")
    options = parser.parse_args()

    model = Autoencoder.from_pretrained(options.model)
    model.overlap_percentage = options.overlap
    files = list(audio_files(options, model.sample_rate))
    chunk = round(options.chunk_seconds * model.sample_rate)
    found = {mode: compare(model, files, chunk, **settings) for mode, settings in MODES.items()}

    table = Table(
        title=f"{options.model}: {len(files)} files, chunks of {options.chunk_seconds} s", title_justify="left"
    )
    columns = ("joins", "SNR there, dB", "inside, dB", "whole, dB", "worst, dB", "MSS there", "inside", "whole")
    for column in ("mode", *columns):
        table.add_column(column, justify="left" if column == "mode" else "right")
    for mode, (count, *values) in found.items():
        table.add_row(mode, str(count), *(f"{value:.3f}" for value in values))
    Console(width=140).print(table)
    print(json.dumps({**{k: str(v) for k, v in vars(options).items()}, "columns": columns, "figures": found}))


def audio_files(options: argparse.Namespace, rate: int) -> Iterator[Tensor]:
    """Mono signals (1, T)."""
    if options.data is None:
        for index in range(options.files):
            yield torch.from_numpy(sum(track(1, index, options.seconds, rate).values())).float()[None]
        return
    paths = sorted(path for path in options.data.rglob("*") if path.suffix[1:].upper() in soundfile.available_formats())
    for path in paths[: options.files]:
        with soundfile.SoundFile(path) as file:
            sound = file.read(round(options.seconds * file.samplerate), dtype="float32", always_2d=True).mean(axis=1)
            yield torch.from_numpy(np.asarray(soxr.resample(sound, file.samplerate, rate)))[None]


def compare(
    model: Autoencoder, files: list[Tensor], chunk: int, seamless: bool = False, padded_edges: bool = False
) -> tuple[float, ...]:
    """Number of joins; SNR at them, at the same places inside chunks, and in one piece; the worst; the same of MSS."""
    model.seamless, model.padded_edges = seamless, padded_edges
    period = model.framing.period
    places: dict[str, list[Tensor]] = {"original": [], "join": [], "inside": [], "whole": []}
    for seed, audio in enumerate(files):
        model.max_chunk_size = None
        latents = model.encode(audio)
        noise = model.sample_noise(latents, generator=torch.Generator().manual_seed(seed))
        whole = model.decode(latents, audio.shape[-1], noise=noise)

        model.max_chunk_size = chunk
        step = round(chunk * (1 - model.overlap_percentage))
        later = step // 2 // period * period
        decodes = [(skip, decode(model, audio[:, skip:], noise, skip // period, seed)) for skip in (0, later)]
        joins = [[(b + skip, e + skip) for b, e in joins_of(model, audio.shape[-1] - skip)] for skip, _ in decodes]
        for first, second in ((0, 1), (1, 0)):
            for begin, end in joins[first]:
                at_an_end = begin < later + chunk // 4 or end > audio.shape[-1] - chunk // 4
                if at_an_end or any(b < end and begin < e for b, e in joins[second]):
                    continue
                for name, skip, sound in (("join", *decodes[first]), ("inside", *decodes[second]), ("whole", 0, whole)):
                    places[name].append(sound[0, begin - skip : end - skip])
                places["original"].append(audio[0, begin:end])

    joined = {name: torch.cat(parts)[None] for name, parts in places.items()}
    names = ("join", "inside", "whole")
    snrs = [signal_to_noise(joined[name], joined["original"]).item() for name in names]
    there, inside, _ = (each(signal_to_noise, places[name], places["original"]) for name in names)
    mss = [each(multi_scale_spectral, places[name], places["original"]).mean().item() for name in names]
    return len(there), *snrs, (inside - there).max().item(), *mss


def each(figure: Callable[[Tensor, Tensor], Tensor], estimates: list[Tensor], targets: list[Tensor]) -> Tensor:
    """A figure of each place."""
    return torch.cat([figure(p[None], t[None]) for p, t in zip(estimates, targets, strict=True)])


def decode(model: Autoencoder, audio: Tensor, noise: Tensor | None, first: int, seed: int) -> Tensor:
    """Encoded and decoded in chunks, a sequence with the noise of its places from `first` on."""
    latents = model.encode(audio)
    if noise is None or not model.seamless:
        return model.decode(latents, audio.shape[-1], generator=torch.Generator().manual_seed(seed))
    frames = noise.shape[-1] // (latents.shape[-1] + first)
    return model.decode(latents, audio.shape[-1], noise=noise[..., first * frames :])


def joins_of(model: Autoencoder, samples: int) -> list[tuple[int, int]]:
    """First sample of each cross-fade and the one after its last, at least `SHORTEST` apart, in a file's samples."""
    plan = model.plan
    if model.seamless:
        chunks = [plan.heard(chunk) for chunk in plan.sequence(plan.latents(samples))]
    else:
        chunks = plan.apart(len(plan.sources(samples)), plan.latents(model.max_chunk_size))
    fades = [chunk.fade_in for chunk in chunks if chunk.fade_in is not None]
    lead = plan.lead if model.seamless else 0
    wide = [(b - lead, e - lead, max(0, SHORTEST - (e - b)) // 2) for b, e in fades]
    return [(b - more, e + more) for b, e, more in wide]


if __name__ == "__main__":
    main()
