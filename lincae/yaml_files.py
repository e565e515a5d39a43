"""YAML in which no key is given twice: the loader of PyYAML would keep the last value, silently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class UniqueKeys(yaml.SafeLoader):
    """The safe loader, which refuses a mapping that names a key twice."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    problem = f"the key {key.value!r} is given twice: leave one of them out"
                    raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return node


def parse_yaml(text: str) -> Any:
    """What a text holds.

    Raises:
        yaml.YAMLError: if it is no YAML, or names a key twice: the key and the line.
    """
    return yaml.load(text, UniqueKeys)


def read_yaml(file: Path) -> Any:
    """What a file holds.

    Raises:
        ValueError: if it is no YAML, or names a key twice: the file, the key and the line.
        OSError: if it cannot be read.
    """
    try:
        return parse_yaml(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is no YAML that can be used: {error}") from error
