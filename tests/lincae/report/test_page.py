"""The report: one page, whole and sound, that shows what the evaluations hold and nothing else."""

import base64
import io
import json
import math
import re
from collections import Counter
from html.parser import HTMLParser
from itertools import groupby, pairwise
from pathlib import Path

import pytest
import soundfile

from lincae.report.page import write_report
from lincae.report.published import PUBLISHED

VOID = {"meta", "link", "img", "br", "input"}
SVG = {"path", "use", "rect", "circle", "line", "g", "image"}
HEADINGS = ("h1", "h2", "h3", "h4")


class Page(HTMLParser):
    """What is in a page, read strictly."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.html = file.read_text(encoding="utf-8")
        self.open: list[tuple[str, dict]] = []
        self.elements: list[tuple[str, dict]] = []
        self.cells: dict[tuple[str, str], list[str]] = {}  # (model, figure) -> text of each cell
        self.counts: dict[tuple[str, str], str] = {}
        self.published: dict[tuple[str, str], list[str]] = {}
        self.texts: list[str] = []
        self.feed(self.html)
        self.close()
        assert self.open == [], "elements that were never closed"

    def handle_starttag(self, tag: str, attrs) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute of {tag} is given twice"
        self.elements.append((tag, dict(attrs)))
        if "data-model" in dict(attrs) and "data-figure" in dict(attrs):
            self.cells.setdefault((dict(attrs)["data-model"], dict(attrs)["data-figure"]), []).append("")
        if "data-published" in dict(attrs):
            self.published.setdefault((dict(attrs)["data-published"], dict(attrs)["data-figure"]), []).append("")
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs) -> None:
        assert tag in SVG, f"<{tag}/> does not close in HTML"
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        for tag, attributes in self.open:
            model, figure = attributes.get("data-model"), attributes.get("data-figure")
            if tag == "td" and "data-count" in attributes:
                self.counts[model, attributes["data-count"]] = data
            elif tag == "td" and "data-published" in attributes:
                self.published[attributes["data-published"], figure][-1] += data
            elif tag == "td" and figure is not None:
                self.cells[model, figure][-1] += data

    def printed(self, model: str, figure: str) -> str:
        """The cell of a published model, the same wherever it is shown."""
        (cell,) = set(self.published[model, figure])
        return cell

    def all(self, tag: str) -> list[dict]:
        return [attributes for found, attributes in self.elements if found == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture
def report(tmp_path: Path):
    """A function that writes a report of files and reads it."""

    def write(*files: Path) -> Page:
        return Page(write_report(files, tmp_path / "report"))

    return write


@pytest.fixture(scope="module")
def pages(everything, tmp_path_factory) -> dict[str, Page]:
    """Reports of everything: clips alone, stems alone, and both."""
    files = {"clips": [everything["clips"]], "stems": [everything["stems"]], "both": list(everything.values())}
    return {name: Page(write_report(of, tmp_path_factory.mktemp(name))) for name, of in files.items()}


@pytest.fixture
def page(pages) -> Page:
    """A report of everything, with sounds."""
    return pages["both"]


def numbers(cell: str) -> list[str]:
    """The value of a cell, and its interval if it has one."""
    value, _, interval = cell.partition(" [")
    return [value, *interval.strip("]").split(", ")] if interval else [value]


def shown(value: float, text: str) -> bool:
    """Whether a text is a value to its own digits, three at least."""
    read = float(text.replace(",", ""))
    digits = max(3, len(text.partition(".")[0].strip("-").replace(",", ""))) if value else 1
    return math.isclose(read, value, rel_tol=0.51 * 10 ** (1 - digits), abs_tol=1e-12)


# ------------------------------------------------------------------------------------------------------------ the page


def test_a_report_is_well_formed_and_every_reference_within_it_leads_somewhere(page):
    assert page.html.lstrip().startswith("<!doctype html>")
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    wanted = set(re.findall(r"url\(#([^)]*)\)", page.html))
    wanted |= {a["href"][1:] for _, a in page.elements if a.get("href", "").startswith("#")}
    wanted |= {name for _, a in page.elements for name in a.get("aria-labelledby", "").split()}
    assert len(wanted) > 20
    assert wanted <= ids.keys()


def test_headings_are_in_order_and_what_scrolls_can_be_reached_and_has_a_name(page):
    levels = [HEADINGS.index(tag) for tag, _ in page.elements if tag in HEADINGS]
    assert levels[0] == 0
    assert levels.count(0) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    scrolling = [a for a in page.all("div") if a.get("class") == "scroll"]
    assert len(scrolling) == len(page.all("table"))
    for region in scrolling:
        assert region["tabindex"] == "0"
        assert region["role"] == "region"
        assert region["aria-label"]
    assert all(a.get("aria-label") for a in page.all("audio"))
    assert all(a.get("alt") for a in page.all("img"))
    assert all(a.get("aria-label") or a.get("aria-hidden") == "true" for a in page.all("svg"))
    assert page.all("a")[0]["class"] == "skip"


def test_a_report_loads_nothing_from_anywhere(page):
    rest = re.sub(r'"data:[^"]*"', '"data:"', page.html)
    for address in ("http:", "https:", "//", "@import", "<script", "<iframe", "<object", "xmlns"):
        assert address not in rest, address
    assert set(re.findall(r"url\(.", rest)) == {"url(#"}
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "poster", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:")), attributes


def test_plots_are_in_the_colours_of_the_page(page):
    plots = re.findall(r"<svg.*?</svg>", page.html, flags=re.DOTALL)
    assert len(plots) > 7
    style = page.html[: page.html.index("</style>")]
    for plot in plots:
        assert not re.search(r"#[0-9a-f]{6}\b|<style|font-family|font:", plot)
        for variable in set(re.findall(r"var\((--[\w-]+)\)", plot)):
            assert f"{variable}:" in style
    assert sum("currentColor" in plot for plot in plots) >= 7


# ---------------------------------------------------------------------------------------------------------- the figures


@pytest.mark.parametrize("kind", ["clips", "stems"])
def test_every_figure_of_every_model_is_shown_as_it_is(everything, pages, kind):
    page, results = pages[kind], json.loads(everything[kind].read_text())
    for model, figures in results["models"].items():
        for name, value in figures.items():
            (cell,) = set(page.cells[model, name])  # the same wherever it is shown
            if value is None:
                assert cell == ("NaN" if results["counts"][model][name] else "—")
            else:
                expected = [value, *results["intervals"][model][name]]
                assert all(map(shown, expected, numbers(cell))), (name, expected, cell)


def test_no_value_is_a_dash_and_a_diverged_one_is_nan(pages):
    page = pages["clips"]
    assert set(page.cells["lin-cae", "mixing/mix_rate"]) == {"—"}
    assert set(page.cells["lin-cae", "floor/snr"]) == {"NaN"}
    assert page.counts["lin-cae", "mixing/mix_rate"] == "0 of 7"
    assert page.counts["baseline", "mixing/mix_rate"] == "7 of 7"
    assert "lin-cae: 1 unreadable" in page.text
    assert "no <audio> & nothing else" in page.text


def test_what_a_figure_is_held_against_follows_from_the_gains_and_the_stems(pages):
    text = pages["stems"].text
    for known in ("deaf to gain: 1.72", "deaf to gain: 1.11", "deaf to gain: 5.21", "constant encoder: 3"):
        assert known in text


def test_published_figures_stand_beside_those_of_the_same_data_and_are_marked(pages):
    clips, stems = pages["clips"], pages["stems"]
    assert clips.printed("Lin-CAE", "reconstruction/mss") == "1.01"
    assert clips.printed("Music2Latent (public)", "encoder/homogeneity_error") == "12.13"
    assert ("Lin-CAE", "separation/bass_mss") not in clips.published
    assert stems.printed("Lin-CAE", "reconstruction/mss") == "1.00"
    assert stems.printed("Music2Latent (retrained)", "decoder/additivity_snr") == "-0.48"
    assert stems.printed("Stable Audio VAE", "separation/bass_mss") == "323.26"
    assert stems.printed("without homogeneity", "separation/bass_mss") == "23.61"
    assert stems.printed("without homogeneity", "decoder/additivity_mss") == "—"
    assert all(a["class"] == "published" for a in stems.all("td") if "data-published" in a)
    assert clips.printed("+ decode-mixing loss, 7.66x", "reconstruction/si_sdr") == "+11.4"
    assert stems.printed("+ decode-mixing loss, 15.3x", "removal/tax") == "2.5"
    assert clips.printed("Music2Latent (first paper)", "reconstruction/si_sdr") == "-3.85"


@pytest.mark.parametrize("kind", ["clips", "stems"])
def test_every_published_column_stands_under_its_source(pages, kind):
    page = pages[kind]
    sources = {model: table for table in PUBLISHED for model in table.figures.get(kind, {})}
    assert {model for model, _ in page.published} == sources.keys()
    for table in sources.values():
        assert f"published, {table.source}: other data, weights and protocol" in page.text
        assert table.about in page.text
    heads = [(a, None) if tag == "th" else (None, a) for tag, a in page.elements if tag in ("th", "td")]
    spans: list[int] = []
    row: list[str] = []
    rows = 0
    for head, cell in heads:
        if cell is not None and "data-published" in cell:
            row.append(cell["data-published"])
        elif row:
            assert [len(list(of)) for _, of in groupby(sources[model].source for model in row)] == spans
            row, rows = [], rows + 1
        if head is not None and head.get("scope") == "colgroup":
            spans = [*spans, int(head["colspan"])] if head.get("class") == "published" else []
    assert rows > 10


def test_a_mix_rate_of_another_distance_says_so_where_it_stands(pages):
    clips = pages["clips"]
    rates = {model for model, figure in clips.published if figure == "mixing/mix_rate"}
    shown = {model: clips.printed(model, "mixing/mix_rate") for model in rates}
    assert shown["+ decode-mixing loss, 7.66x"] == "0.972 of their training loss, not of MSS"
    assert sum(cell.endswith("not of MSS") for cell in shown.values()) == 7
    assert {cell for cell in shown.values() if not cell.endswith("not of MSS")} == {"—"}


# ------------------------------------------------------------------------------------------------------- several files


def test_models_of_several_evaluations_with_equal_settings_share_their_tables(report, evaluation):
    page = report(evaluation("a", ["one"]), evaluation("b", ["two"], seed=5, device="cuda", versions={"torch": "3"}))
    assert {model for model, _ in page.cells} == {"one", "two"}
    assert len([a for a in page.all("h2") if a["id"].startswith("part-")]) == 1


@pytest.mark.parametrize("settings", [{"gains": [0.25, 0.5]}, {"data": "other"}, {"seconds": 5.0}, {"kind": "stems"}])
def test_figures_that_do_not_compare_do_not_share_a_table(report, evaluation, settings):
    page = report(evaluation("a", ["one"]), evaluation("b", ["two"], seed=5, **settings))
    assert len([a for a in page.all("h2") if a["id"].startswith("part-")]) == 2
    sections = page.html.split('<h2 id="part-2">')
    assert len(sections) == 2
    assert 'data-model="one"' not in sections[1]
    assert 'data-model="two"' not in sections[0]


def test_two_models_of_one_name_are_told_apart_by_their_folders(report, evaluation):
    files = [evaluation("a", ["same", "first"]), evaluation("b", ["same", "second"], seed=5)]
    page = report(*files)
    assert {model for model, _ in page.cells} == {"same (a)", "same (b)", "first", "second"}
    for file, model in zip(files, ("same (a)", "same (b)"), strict=True):
        value = json.loads(file.read_text())["models"]["same"]["reconstruction/mss"]
        assert shown(value, numbers(page.cells[model, "reconstruction/mss"][0])[0])


def test_folders_of_one_name_are_told_apart_by_their_paths(report, evaluation, tmp_path):
    page = report(evaluation("x/a", ["same"]), evaluation("y/a", ["same"], seed=5))
    assert {model for model, _ in page.cells} == {f"same ({tmp_path / 'x' / 'a'})", f"same ({tmp_path / 'y' / 'a'})"}


def test_the_same_weights_under_two_protocols_keep_their_name(report, evaluation):
    page = report(evaluation("a", ["same"]), evaluation("b", ["same"], kind="stems"))
    assert {model for model, _ in page.cells} == {"same"}


def test_names_are_text_and_never_markup(report, evaluation, sounds):
    name = '<b>bold</b> & "quoted" \' {{ 7 * 7 }} $x^2$'
    file = evaluation("a", [name, "</style><script>alert(1)</script>"], data="<i>data</i>")
    sounds(file.parent, [name])
    page = report(file)
    assert {model for model, _ in page.cells} == {name, "</style><script>alert(1)</script>"}
    assert not page.all("b") + page.all("i") + page.all("script")
    assert name in page.text


# ------------------------------------------------------------------------------------------------------------- sounds


def test_every_sound_is_in_the_page_as_it_is_on_disk(everything, page):
    folder = everything["stems"].parent
    listed = json.loads((folder / "sounds.json").read_text())
    players = {a["aria-label"]: a["src"] for a in page.all("audio")}
    expected = {f"{sound['title']}, {name}": sound for name, of in listed["models"].items() for sound in of}
    beside = ["reconstruction", *(f"{s['title']} by subtraction" for s in listed["original"][1:])]
    assert len(players) == len(expected) + len(beside)
    for label, sound in expected.items():
        content = base64.b64decode(players[label].removeprefix("data:audio/flac;base64,"), validate=True)
        assert content == (folder / sound["file"]).read_bytes()
        audio, rate = soundfile.read(io.BytesIO(content))
        assert len(audio) == 0.5 * rate
        assert rate == (24_000 if label.endswith("baseline") else 16_000)
    # The mix of four stems of 0.3 peaks above 1 after doubling, not before halving.
    assert "dB softer" in page.text
    assert "track <1>, from 12.5 s" in page.text


def test_originals_stand_beside_what_is_compared_with_them(everything, page):
    folder = everything["stems"].parent
    players = {a["aria-label"]: a["src"] for a in page.all("audio")}
    listed = json.loads((folder / "sounds.json").read_text())["original"]
    for row, title in {"reconstruction": "original", "lead vocals by subtraction": "lead vocals"}.items():
        (sound,) = (each for each in listed if each["title"] == title)
        content = (folder / sound["file"]).read_bytes()
        assert row in page.text
        assert players[title].endswith(base64.b64encode(content).decode())


def test_a_list_of_sounds_that_are_gone_is_an_error(report, evaluation, sounds):
    file = evaluation("a", kind="stems")
    sounds(file.parent)
    next((file.parent / "sounds" / "original").iterdir()).unlink()
    with pytest.raises(ValueError, match=r"sounds\.json cannot be read, evaluate again or remove it"):
        report(file)


# ------------------------------------------------------------------------------------------------------------ latents


def test_every_model_has_its_latents_in_two_dimensions_and_its_map(page, pages):
    for heading, key in {"plane": "multiples of u", "maps": "their mix"}.items():
        (section,) = re.findall(rf'<h3 id="part-\d-{heading}">(.*?)<h3', page.html, flags=re.DOTALL)
        captions = re.findall(r"<figure><svg.*?</svg>\s*<figcaption>(.*?)</figcaption>", section, flags=re.DOTALL)
        assert [caption.partition(" ")[0].strip(".,") for caption in captions] == ["lin-cae", "baseline"]
        assert all("album/track &lt;1&gt;, from 12.5 s" in caption for caption in captions)
        assert key in section
        assert f'href="#part-2-{heading}"' in page.html
        assert heading not in "".join(a.get("id", "") for _, a in pages["clips"].elements)
    assert page.text.count("The plane shows 100.0 % of the latents, for which arithmetic is exact.") == 2


def test_latents_of_several_evaluations_are_on_one_page(report, evaluation, sounds):
    files = [evaluation(name, [name], kind="stems", seed=seed) for seed, name in enumerate(("one", "two"))]
    for file, name in zip(files, ("one", "two"), strict=True):
        sounds(file.parent, [name])
    page = report(*files)
    assert len([a for a in page.all("h3") if a["id"].endswith("-plane")]) == 1
    assert page.text.count("The plane shows") == 2
    titles = {a["aria-label"] for a in page.all("svg") if "aria-label" in a}
    assert titles >= {"Latents of one in two dimensions", "t-SNE of two"}


def test_latents_that_are_damaged_are_an_error(report, evaluation):
    file = evaluation("a", kind="stems")
    (file.parent / "latents.json").write_text("{")
    with pytest.raises(ValueError, match=r"latents\.json cannot be read, evaluate again or remove it"):
        report(file)


# -------------------------------------------------------------------------------------------------------------- files


def test_a_report_about_the_same_files_is_replaced_and_nothing_else(evaluation, tmp_path):
    one, two = evaluation("a"), evaluation("b", seed=7)
    page = write_report([one, two], tmp_path / "out" / "deep")
    assert page == tmp_path / "out" / "deep" / "index.html"
    before = page.read_text()
    assert write_report([two, one], page.parent).read_text() != before
    mine = page.read_text()
    with pytest.raises(FileExistsError, match="is not a report about these results"):
        write_report([one], page.parent)
    assert page.read_text() == mine
    assert [file.name for file in page.parent.iterdir()] == ["index.html"]


def test_the_page_of_somebody_else_stays(evaluation, tmp_path):
    (tmp_path / "index.html").write_text("<h1>mine</h1>")
    with pytest.raises(FileExistsError, match=r"index\.html"):
        write_report([evaluation("a")], tmp_path)
    assert (tmp_path / "index.html").read_text() == "<h1>mine</h1>"


def test_the_same_results_make_the_same_page(everything, pages, tmp_path):
    assert write_report([everything["clips"]], tmp_path).read_text() == pages["clips"].html


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is no file: give a results.json"),
        ("{", "cannot be read as JSON"),
        ("[]", "lacks models, protocol"),
        ('{"models": {"a": {}}, "protocol": {}, "checks": []}', "lacks intervals, counts"),
    ],
)
def test_files_that_are_something_else_are_named(tmp_path, content, message):
    file = tmp_path / "results.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValueError, match=rf"results\.json {message}"):
        write_report([file], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("key", ["counts", "excerpts", "sha256"])
def test_results_of_an_older_version_are_refused_by_what_they_lack(evaluation, tmp_path, key):
    file = evaluation("a")
    found = json.loads(file.read_text())
    del found[key]
    file.write_text(json.dumps(found))
    with pytest.raises(ValueError, match=rf"lacks {key}: it is not from lincae evaluate, or from an older one"):
        write_report([file], tmp_path / "out")


def test_the_same_file_twice_is_refused(evaluation, tmp_path):
    file = evaluation("a")
    with pytest.raises(ValueError, match="given twice"):
        write_report([file, file.parent / ".." / "a" / "results.json"], tmp_path / "out")
