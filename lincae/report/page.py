"""The report: finished evaluations as one page that needs nothing but itself."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lincae.report.differences import Difference, Pair, differences
from lincae.report.evaluations import Comparison, compare, read_evaluation
from lincae.report.figure_tables import FigureTable, counts_table, figure_table
from lincae.report.glossary import SUFFIXES, Figure, describe, stem_of
from lincae.report.inline_plots import SERIES, Key, swatch, swatch_again
from lincae.report.latent_plots import map_keys, map_plots, plane_keys, plane_plots, read_latents
from lincae.report.model_plots import (
    Plot,
    additivity_plots,
    clip_plots,
    count_plots,
    gain_plots,
    ratio_plots,
    stem_plots,
)
from lincae.report.players import Listening, read_listening
from lincae.report.published import PUBLISHED, PublishedTable
from lincae.report.results import POINT, write

TITLES = {"clips": "Single clips", "stems": "Tracks of stems"}

QUALITY = ["reconstruction/mss", "reconstruction/snr", "reconstruction/si_sdr"]
CONTROLS = ["shuffled/mss", "shuffled/snr", "floor/mss", "floor/snr", "stft/mss", "stft/snr"]
HOMOGENEITY = ["decoder/homogeneity_mss", "decoder/homogeneity_snr", "encoder/homogeneity_error"]
ADDITIVITY = ["decoder/additivity_mss", "decoder/additivity_snr", "encoder/additivity_error"]
OTHER_TARGETS = [f"decoder/additivity_{target}_{figure}" for target in ("self", "sum") for figure in ("mss", "snr")]
SEPARATION = ["separation/mss", "separation/si_sdr"]
REMOVAL = ["removal/si_sdr", "removal/tax"]
MIXING = ["mixing/truth_si_sdr", "mixing/mix_rate"]


class Section(NamedTuple):
    """A topic: its plots and tables under an explanation, which the template has under the topic's name.

    Attributes:
        topic: homogeneity, additivity, plane, maps, separation, mixing or other.
        plots: pictures.
        keys: what marks in the pictures mean.
        table: figures, if there are any.
        points: the numbers behind curves, if there are any.
    """

    topic: str
    plots: list[Plot]
    keys: list[Key]
    table: FigureTable | None
    points: FigureTable | None


class Part(NamedTuple):
    """All about models that were measured in the same way.

    Attributes:
        id: of its heading.
        title: what was measured.
        comparison: the figures.
        headline: the most important figures, beside published ones.
        differences: of these, between every two models on the same excerpts, by pair and figure.
        labels: figure -> how it is presented, of those that differences have.
        sections: topic by topic.
        excerpts: linearity against reconstruction for each excerpt.
        keys: how plots show the models.
        counts: figures that some excerpts lack.
        listening: sounds.
    """

    id: str
    title: str
    comparison: Comparison
    headline: FigureTable | None
    differences: Mapping[Pair, Mapping[str, Difference]]
    labels: Mapping[str, Figure]
    sections: list[Section]
    excerpts: list[Plot]
    keys: list[Key]
    counts: FigureTable | None
    listening: list[Listening]

    def measured_on(self) -> list[str]:
        """Number, length and sample rate of excerpts, once for all models that agree on them."""
        models = self.comparison.models.values()
        kinds = dict.fromkeys((len(model.excerpts), model.samples, model.sample_rate) for model in models)
        return [f"{count} excerpts of {samples / rate:.2f} s at {rate:,} Hz" for count, samples, rate in kinds]


def write_report(results: Sequence[Path], folder: Path) -> Path:
    """Writes one page about finished evaluations: tables, plots and sounds, all of them inside the file.

    Args:
        results: `results.json` of each evaluation. Models measured in the same way stand side by side; sounds are those
            that a `sounds.json` beside the file lists.
        folder: where to write `index.html`; made if missing. An earlier report about the same files is replaced.

    Returns:
        The page.

    Raises:
        ValueError: if a file is missing, is something else or is given twice.
        FileExistsError: if there is an `index.html` already that is something else.
    """
    page, mark = folder / "index.html", check_page(results, folder)
    html = render(compare([read_evaluation(file) for file in results]), mark)
    folder.mkdir(parents=True, exist_ok=True)
    write(page, html)
    return page


def check_page(results: Sequence[Path], folder: Path) -> str:
    """A mark of pages in a folder about these files, by which an earlier one is known.

    It depends on where the files are, seen from the folder: folders that are moved together keep their page.

    Raises:
        FileExistsError: if the folder has a page that is something else.
    """
    places = "\n".join(sorted(os.path.relpath(file.resolve(), folder.resolve()) for file in results))
    mark = f"lincae report {hashlib.sha256(places.encode()).hexdigest()}"
    page = folder / "index.html"
    if page.exists() and mark not in page.read_text(encoding="utf-8", errors="replace"):
        raise FileExistsError(f"{page} is not a report about these results: give another folder, or move it away")
    return mark


def render(comparisons: Sequence[Comparison], mark: str) -> str:
    """The page."""
    labels = dict.fromkeys(label for comparison in comparisons for label in comparison.models)
    styles = {label: number for number, label in enumerate(labels)}
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("report.html").render(
        mark=mark,
        published=PUBLISHED,
        colours=SERIES,
        swatches={label: swatch(number) for label, number in styles.items()},
        keys={label: swatch_again(number) for label, number in styles.items()},
        parts=[part(f"part-{number}", each, styles) for number, each in enumerate(comparisons, start=1)],
    )


def part(ident: str, comparison: Comparison, styles: Mapping[str, int]) -> Part:
    """All about one comparison.

    Args:
        ident: what its ids begin with.
        comparison: the models.
        styles: number of each model.
    """
    names = list(dict.fromkeys(name for model in comparison.models.values() for name in model.figures))
    plain = [name for name in names if not POINT.search(name)]
    separation = [name for name in plain if name.startswith("separation")]
    distances = ["kad", *(name for name in plain if name.startswith(("kad_", "fad_")))]
    stems = [stem for stem in dict.fromkeys(map(stem_of, separation)) if stem is not None]

    folders = [evaluation.file.parent for evaluation in comparison.evaluations]
    named = list(zip(folders, comparison.labels, strict=True))
    pictured = [latents for folder, labels in named if (latents := read_latents(folder, labels)) is not None]
    models = [(label, swatch_again(styles[label])) for label in comparison.models]

    headline = [*QUALITY, *CONTROLS, *HOMOGENEITY, *ADDITIVITY, *SEPARATION, *REMOVAL, *MIXING, *distances]
    topics = {
        "homogeneity": (gain_plots(ident, comparison, styles), with_origins(HOMOGENEITY)),
        "additivity": (
            [*additivity_plots(ident, comparison, styles), *count_plots(ident, comparison, styles)],
            with_origins([*ADDITIVITY, *OTHER_TARGETS]),
        ),
        "plane": (plane_plots(ident, pictured, styles), []),
        "maps": (map_plots(ident, pictured, styles), []),
        "separation": (stem_plots(ident, comparison, styles, stems), [*separation, *REMOVAL]),
        "mixing": (ratio_plots(ident, comparison, styles), MIXING),
    }
    shown = {*headline, *(name for _, group in topics.values() for name in group)}
    topics["other"] = ([], [name for name in plain if name not in shown])
    keys = {"plane": plane_keys(ident), "maps": map_keys(ident, pictured)}

    def table(group: Sequence[str], beside: Sequence[PublishedTable] = ()) -> FigureTable | None:
        return figure_table(comparison, group, len(stems), beside)

    paired = differences(comparison.models, headline, comparison.protocol["seconds"])
    labels = {name: describe(name) for name in headline if any(name in of for of in paired.values())}
    kind = comparison.protocol["protocol"]
    return Part(
        ident,
        f"{TITLES.get(kind, kind)}: {comparison.protocol['data']}",
        comparison,
        table(headline, PUBLISHED),
        paired,
        labels,
        [
            Section(
                topic,
                plots,
                keys.get(topic, models),
                table(group, PUBLISHED if topic in ("separation", "mixing") else ()),
                table([name for name in names if figure_of_point(name) in group]),
            )
            for topic, (plots, group) in topics.items()
            if plots or any(name in names for name in group)
        ],
        clip_plots(ident, comparison, styles),
        models,
        counts_table(comparison),
        [sounds for folder, labels in named if (sounds := read_listening(folder, labels)) is not None],
    )


def figure_of_point(name: str) -> str | None:
    """The figure that a point of a curve belongs to; None for other figures."""
    point = POINT.search(name)
    return None if point is None else name[: point.start()]


def with_origins(names: Sequence[str]) -> list[str]:
    """Each figure as it is, then with either origin taken out."""
    return [name + suffix for name in names for suffix in SUFFIXES]
