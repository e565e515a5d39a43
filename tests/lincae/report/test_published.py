"""Published figures: tables as text."""

from collections import Counter

import pytest

from lincae.report.glossary import describe
from lincae.report.published import DECODE_MIXING, LIN_CAE, PUBLISHED, printed


def test_a_table_is_read_row_by_row_and_a_dash_is_no_value():
    table = printed(
        ("mss", "snr"),
        """
        one model    | 1.50 | -0.79
        + another, 2x | -   | +11.0
    """,
    )
    assert table == {"one model": {"mss": "1.50", "snr": "-0.79"}, "+ another, 2x": {"snr": "+11.0"}}


@pytest.mark.parametrize("row", ["model | 1", "model | 1 | 2 | 3", "model"])
def test_a_row_of_another_length_is_refused(row):
    with pytest.raises(ValueError, match="zip"):
        printed(("mss", "snr"), row)


def test_models_of_different_papers_have_different_names():
    for kind in ("clips", "stems"):
        names = Counter(model for table in PUBLISHED for model in table.figures.get(kind, {}))
        assert set(names.values()) == {1}


def test_every_published_figure_is_a_number_that_is_known_here():
    for table in PUBLISHED:
        for models in table.figures.values():
            for figures in models.values():
                for name, value in figures.items():
                    assert describe(name).better, name
                    assert [float(end) for end in value.split(" to ")]


def test_the_papers_tables_are_whole():
    """Five figures of four models, four of additivity and reconstruction and four stems; ablations lack additivity."""
    counts = {kind: [len(figures) for figures in models.values()] for kind, models in LIN_CAE.figures.items()}
    assert counts == {"clips": [5] * 4, "stems": [8] * 4 + [5] * 2}
    counts = {kind: [len(figures) for figures in models.values()] for kind, models in DECODE_MIXING.figures.items()}
    assert counts == {"clips": [3] * 7, "stems": [3] * 4 + [2]}


def test_the_tax_is_what_the_removal_lacks_of_the_reconstruction():
    """The repository prints that reconstruction too: 8.62, 7.67 and -2.82 dB."""
    stems = DECODE_MIXING.figures["stems"]
    for model, reconstruction in [
        ("waveform GAN, 7.66x", 8.62),
        ("+ decode-mixing loss, 15.3x", 7.67),
        ("Music2Latent (fine-tuned with mixing)", -2.82),
    ]:
        figures = {name: float(value) for name, value in stems[model].items()}
        assert figures["removal/si_sdr"] + figures["removal/tax"] == pytest.approx(reconstruction, abs=0.1)
