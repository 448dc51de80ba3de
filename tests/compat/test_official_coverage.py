"""Nothing public of the official client is left out of these tests, so that a newer version of it fails here first."""

import ast
import inspect
from pathlib import Path
from typing import Any

import agent_memory_client
import pytest
from agent_memory_client import MemoryAPIClient, ToolSchema, ToolSchemaCollection

TESTS = sorted(Path(__file__).parent.glob("test_*.py"))


def named_in_tests() -> set[str]:
    """All attributes and names that the tests of this folder use."""
    found: set[str] = set()
    for path in TESTS:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.Name):
                found.add(node.id)
    return found


def public_methods(kind: type[Any]) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}


@pytest.mark.parametrize("kind", [MemoryAPIClient, ToolSchema, ToolSchemaCollection])
def test_every_public_method_is_called(kind: type[Any]) -> None:
    assert public_methods(kind) - named_in_tests() == set()


def test_every_public_name_is_used() -> None:
    assert set(agent_memory_client.__all__) - named_in_tests() == {"ModelNameLiteral"}, "a name for types only"
