"""`lincae linear`: the best linear autoencoder with as many latents as a model, as a row to compare it with."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from datamodules.corpus import Corpus
from datamodules.excerpts import cut, read
from datamodules.index import Demands, scan
from datamodules.reader import CropReader
from datamodules.rejection import BadAudioError
from lincae.autoencoders.linear import LinearAutoencoder
from lincae.autoencoders.protocol import channels_of, reading_of, silence_for
from lincae.cli.command_line import number, refusals
from lincae.cli.trained import load_model
from lincae.inference import Autoencoder

SECONDS = 2.0
"""Of an excerpt that is fitted on."""


def main(arguments: Sequence[str]) -> None:
    """Fit the model, write it, and print how much of the energy it keeps."""
    parser = argparse.ArgumentParser(prog="lincae linear", description=__doc__, allow_abbrev=False)
    parser.add_argument("--like", required=True, metavar="MODEL", help="whose sample rate and number of latents it has")
    parser.add_argument("--data", required=True, metavar="DIR", help="folder of audio to fit it on")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="new or empty folder")
    parser.add_argument("--hop", type=number(int, 1), help="of the STFT, samples (default: the model's)")
    parser.add_argument("--window", type=number(int, 2), help="a multiple of it (default: the model's, or two hops)")
    parser.add_argument(
        "--time-stride", type=number(int, 1), help="frames of a patch (default: 1, if whole latents are left for it)"
    )
    parser.add_argument(
        "--excerpts", type=number(int, 1), default=2000, help=f"of {SECONDS:g} s, at most (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    with refusals():
        linear(options)


def linear(options: argparse.Namespace) -> None:
    """Fits and writes the model.

    Raises:
        ValueError: if no patch has a whole number of latents, or there is no audio.
    """
    model = like(load_model(options.like, "cpu"), options)
    kept, std = model.fit(clips(options, model))
    Autoencoder(model, 1 / std).save_pretrained(options.output)
    print(
        f"{options.output}: {model.latents} latents for {model.time_stride} x {model.hop} samples, "
        f"{100 * kept:.1f} % of the energy. For lincae evaluate linear={options.output}"
    )


def like(model: Autoencoder, options: argparse.Namespace) -> LinearAutoencoder:
    """A linear autoencoder with as many numbers in its latents, for each second of audio."""
    framing, source = model.framing, model.autoencoder
    dimension = source.encode(silence_for(source, 1, framing.samples(4))).shape[1]
    hop = options.hop or framing.hop
    window = options.window or max(framing.window, 2 * hop)
    strides = [options.time_stride] if options.time_stride else range(1, framing.time_stride + 1)
    for stride in strides:
        latents, rest = divmod(dimension * stride * hop, framing.period)
        if not rest:
            return LinearAutoencoder(hop, window, latents, stride, model.sample_rate, channels_of(source))
    raise ValueError(
        f"{options.like} has {dimension} latents for {framing.period} samples: patches of {strides[-1]} frames every "
        f"{hop} samples would have no whole number. Give another --time-stride or --hop"
    )


def clips(options: argparse.Namespace, model: LinearAutoencoder) -> Iterator[Tensor]:
    """Excerpts of the audio, (1, T) or (1, C, T), spread evenly over the files; broken places are passed over."""
    sample_rate, samples = model.sample_rate, round(SECONDS * model.sample_rate)
    files = scan("data", Corpus(options.data), Demands(sample_rate, samples, sample_rate)).files
    most = max(1, options.excerpts // len(files))
    excerpts = cut([(file.path, [file]) for file in files], sample_rate, samples, samples, most)
    reader = CropReader(sample_rate, samples, reading_of(model))
    step = max(1, -(-len(excerpts) // options.excerpts))
    for excerpt in tqdm(excerpts[::step], "fitting", unit=" excerpts"):
        try:
            yield read(excerpt, reader)
        except BadAudioError:
            continue
