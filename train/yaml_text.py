"""YAML as people mean it: a key stands once, and 1e3 is a number."""

import re
from collections.abc import Hashable
from typing import Any

import yaml


def load_yaml(text: str) -> Any:
    """Value of a YAML text; raises ValueError, in a line, if it is none."""
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from error


class _Loader(yaml.SafeLoader):
    """Refuses a repeated key, instead of a silent choice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse a repeated key."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(problem=f"{twice!r} stands there twice")
        return super().construct_mapping(node, deep)


# YAML 1.1, which PyYAML reads, takes 1e3 for text; 1.2 takes it for a number.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)
