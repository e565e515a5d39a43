"""The report in Chromium: it opens from disk without a word of complaint, can be heard, and fits its window."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from lincae.report.page import write_report

pytestmark = pytest.mark.slow

PROBE = """
<script>
addEventListener("load", async () => {
  const sounds = [...document.querySelectorAll("audio")];
  await Promise.all(sounds.map(sound => sound.readyState > 0 || sound.error || new Promise(done => {
    sound.addEventListener("loadedmetadata", done);
    sound.addEventListener("error", done);
  })));
  const pictures = [...document.images].map(picture => picture.complete && picture.naturalWidth);
  const wide = [...document.querySelectorAll("body > *, main > section > *")].filter(
    element => element.getBoundingClientRect().right > innerWidth + 1).map(element => element.tagName);
  const plots = [...document.querySelectorAll("figure svg")].map(plot => plot.getBoundingClientRect().width);
  const loaded = performance.getEntriesByType("resource").map(entry => entry.name).filter(
    name => !name.startsWith("data:"));
  parent.postMessage({
    durations: sounds.map(sound => sound.duration), pictures, wide, plots, loaded,
    width: innerWidth, page: document.documentElement.scrollWidth,
  }, "*");
});
</script>
"""
FRAME = """<!doctype html>
<iframe src="{address}" width="{width}" height="2000"></iframe>
<script>
addEventListener("message", message => document.body.dataset.probe = JSON.stringify(message.data));
</script>
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A function that runs a headless Chromium without a network on a page; gives what it printed."""
    found = [path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))]
    if not found:
        pytest.fail("there is no Chromium here. On Debian and Ubuntu: apt install chromium")
    profile = tmp_path_factory.mktemp("profile")

    def run(page: Path, *options: str, width: int = 1280, height: int = 2000, dark: bool = False):
        command = [
            found[0],
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            f"--user-data-dir={profile}",
            f"--window-size={width},{height}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            *options,
            page.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
        assert "CONSOLE" not in done.stderr, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def page(everything, tmp_path_factory) -> Path:
    """A report of everything, with sounds."""
    return write_report(list(everything.values()), tmp_path_factory.mktemp("report"))


@pytest.fixture
def probe(chromium, tmp_path):
    """A function that opens a page in a frame of a width (a window has a least one) and looks around in it."""

    def look(page: Path, width: int = 1280) -> dict:
        probed, frame = tmp_path / "probed.html", tmp_path / "frame.html"
        probed.write_text(page.read_text() + PROBE)
        frame.write_text(FRAME.format(address=probed.as_uri(), width=width))
        dom = chromium(frame, "--dump-dom", "--virtual-time-budget=20000", width=1400)
        match = re.search(r'<body data-probe="([^"]*)"', dom)
        assert match, "the sounds never finished loading"
        return json.loads(unescape(match[1]))

    return look


@pytest.mark.parametrize("width", [1280, 390])
def test_sounds_and_pictures_load_and_only_tables_scroll_sideways(probe, page, width):
    found = probe(page, width)
    assert found["loaded"] == []
    assert found["width"] == found["page"] == width
    assert found["wide"] == []
    assert found["durations"]
    assert found["durations"] == pytest.approx([0.5] * len(found["durations"]))
    assert len(found["pictures"]) == len(found["durations"])
    assert all(found["pictures"])
    assert min(found["plots"]) > 300


def test_what_these_tests_look_for_would_be_found(chromium, probe, tmp_path):
    """A script that fails, an address outside, a sound that is none, and something that does not fit."""
    broken = tmp_path / "broken.html"
    broken.write_text("<!doctype html><script>throw 1</script>")
    with pytest.raises(AssertionError, match="CONSOLE"):
        chromium(broken, "--dump-dom")
    broken.write_text(
        '<!doctype html><img src="http://example.invalid/a.png"><audio src="data:audio/flac;base64,AAAA"></audio>'
        '<p style="width: 500px">wide</p>'
    )
    found = probe(broken, 390)
    assert found["loaded"] == ["http://example.invalid/a.png"]
    assert found["durations"] == [None]
    assert found["pictures"] == [0]
    assert found["wide"] == ["P"]
    assert found["page"] > found["width"] == 390


@pytest.mark.parametrize("width", [1280, 390])
def test_light_and_dark_have_their_own_colours(chromium, page, tmp_path, width):
    for dark, ground, series in ((False, "#ffffff", "#0072b2"), (True, "#14171a", "#4fa3dc")):
        shot = tmp_path / f"{width}-{dark}.png"
        chromium(page, f"--screenshot={shot}", width=width, height=4000, dark=dark)
        picture = matplotlib.image.imread(shot)[..., :3]
        assert picture.shape == (4000, width, 3)
        assert share(picture, ground) > 0.5
        assert np.abs(picture[0, 0] - to_rgb(ground)).max() < 1 / 255
        assert share(picture, series) > 2e-5, "no line of a model"
        other = "#14171a" if not dark else "#ffffff"
        assert share(picture, other) < 0.01


def share(picture: np.ndarray, colour: str) -> float:
    """Of the pixels, those that have a colour."""
    return float((np.abs(picture - np.array(to_rgb(colour))) < 1 / 255).all(axis=-1).mean())
