"""Which embeddings a command line names."""

import pytest

from lincae.cli import embeddings
from lincae.cli.embeddings import load_embedding, load_embeddings
from lincae.metrics import LogMelStatistics


def test_the_default_and_a_class_can_be_named():
    named = load_embeddings(["logmel", "mine=logmel", "other-1=lincae.metrics.LogMelStatistics"])
    assert [embedding.name for embedding in named] == ["logmel", "mine", "other-1"]
    assert all(isinstance(embedding, LogMelStatistics) for embedding in named)
    assert LogMelStatistics.name == "logmel"
    assert not any(embedding.training for embedding in named)


def test_clap_is_read_from_its_folder(monkeypatch):
    monkeypatch.setattr(embeddings, "load_clap", lambda folder: LogMelStatistics() if folder == "a/b" else None)
    assert load_embedding("music=clap:a/b").name == "music"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nonsense", "'nonsense' names no embedding: give logmel, clap:FOLDER or a class path"),
        ("no.such.Class", "names no embedding: No module named 'no'"),
        ("lincae.metrics.Nothing", "names no embedding: module 'lincae.metrics' has no attribute 'Nothing'"),
        ("torch.nn.Linear", "names no embedding: .*missing 2 required positional arguments"),
        ("torch.nn.Identity", "makes a Identity: derive it from lincae.metrics.Embedding"),
        ("a b=logmel", "the name 'a b' in 'a b=logmel' has other than letters"),
        ("a/b=logmel", r"'a/b=logmel' names no embedding.*NAME=EMBEDDING"),
    ],
)
def test_what_is_no_embedding_is_refused(source, message):
    with pytest.raises(ValueError, match=message):
        load_embedding(source)


def test_two_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"same name.*NAME=EMBEDDING"):
        load_embeddings(["logmel", "logmel=lincae.metrics.LogMelStatistics"])
