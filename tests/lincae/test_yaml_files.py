"""Keys that are given twice."""

import random

import pytest
import yaml

from lincae.yaml_files import parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "key"),
    [("a: 1\nb: 2\na: 3", "a"), ("{x: {p: 1, q: 2, p: 1}}", "p"), ("- 1: a\n  1: b", "1"), ('a: 1\n"a": 2', "a")],
)
def test_a_key_that_is_given_twice_is_named_with_its_place(text, key, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=rf"(?s)mine\.yaml.*'{key}'.*line {text.count(chr(10)) + 1}, column"):
        read_yaml(file)


def test_anything_else_is_read_as_pyyaml_does():
    """Also anchors, merges, and equal keys of different mappings."""
    rng = random.Random(0)

    def tree(depth: int) -> object:
        if depth == 0 or rng.random() < 0.3:
            return rng.choice([1, 2.5, "text", None, True, "a: b", [1, "x"], "2024-01-01"])
        return {key: tree(depth - 1) for key in rng.sample("abcdef", rng.randint(0, 6))}

    texts = [yaml.safe_dump(tree(4)) for _ in range(50)]
    texts += [
        "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [*a], x: 0}\n",
        "p: {q: &b {x: 1}}\nr: {<<: *b, x: 2}",
        "",
    ]
    for text in texts:
        assert parse_yaml(text) == yaml.safe_load(text)


def test_a_file_that_is_no_yaml_is_named(tmp_path):
    (tmp_path / "bad.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(ValueError, match=r"bad\.yaml"):
        read_yaml(tmp_path / "bad.yaml")
