"""A sample history: ten weeks of a developer and a coding assistant, in our own JSONL."""

from importlib.resources import files
from importlib.resources.abc import Traversable


def history() -> Traversable:
    """The file, wherever the package is installed."""
    return files(__name__) / "history.jsonl"
