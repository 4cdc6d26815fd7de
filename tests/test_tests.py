"""Rules that the tests themselves keep: one that cannot fail is a defect."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))


def _faults(text: str) -> Iterator[str]:
    """What in the text of a module cannot fail."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and _name_of(node.func) == "setattr":
            if any(word.arg == "raising" for word in node.keywords) or len(node.args) > 3:
                yield f"line {node.lineno}: setattr with raising patches what need not exist"
        elif isinstance(node, ast.Assert):
            if isinstance(node.test, ast.Tuple | ast.Constant | ast.JoinedStr):
                yield f"line {node.lineno}: {ast.unparse(node.test)} is always true"
            elif isinstance(node.test, ast.Compare) and not _asks(node.test):
                sides = [ast.dump(side) for side in (node.test.left, *node.test.comparators)]
                if len(set(sides)) < len(sides):
                    yield f"line {node.lineno}: {ast.unparse(node.test)} compares a value with itself"


def _name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _asks(node: ast.AST) -> bool:
    """Whether a call or a property is in it, which may give another value the second time."""
    return any(isinstance(part, ast.Call | ast.Attribute) for part in ast.walk(node))


def test_no_test_is_made_so_that_it_cannot_fail() -> None:
    assert len(FILES) > 60
    found = {str(path.relative_to(ROOT)): list(_faults(path.read_text(encoding="utf-8"))) for path in FILES}
    assert {path: faults for path, faults in found.items() if faults} == {}


@pytest.mark.parametrize(
    "text",
    [
        "monkeypatch.setattr('a.b', 1, raising=False)",
        "monkeypatch.setattr(a, 'b', 1, raising=wanted)",
        "monkeypatch.setattr(a, 'b', 1, False)",
        "patch.setattr(target='a.b', name=1, raising=False)",
        "assert (a, b)",
        "assert 'text'",
        "assert a[0] == a[0]",
        "assert 0 < n < n",
    ],
)
def test_what_cannot_fail_is_found(text: str) -> None:
    assert len(list(_faults(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "monkeypatch.setattr('a.b', 1)",
        "monkeypatch.delenv('DISPLAY', raising=False)",
        "assert next(a) == next(a)",
        "assert a.b == a.b",
        "assert a == b",
    ],
)
def test_what_can_fail_passes(text: str) -> None:
    assert list(_faults(text)) == []


def test_no_test_reads_what_lies_outside_the_repository() -> None:
    outside = []
    for path in FILES:
        above = re.findall(r"__file__\)(?:\.resolve\(\))?\.parents\[(\d+)\]", path.read_text(encoding="utf-8"))
        outside += [path.name for number in above if int(number) >= len(path.relative_to(ROOT).parts)]
    assert outside == []
