"""Draws the part of ``docs/architecture.md`` that follows from the code: the layers, and what each room holds.

``python docs/architecture.py`` writes it, ``--check`` exits with 1 if the page is another. The layers are those of the
import contract in ``pyproject.toml``, the words the first line of each package and module.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import grimp
import tomli
from rebuilding import write_or_compare

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
PACKAGE = "threadx_duck"
BEGIN, END = "<!-- drawn by docs/architecture.py -->\n", "<!-- end of the drawing -->\n"


def layers() -> list[list[str]]:
    """The rooms of each layer, the highest first, by the import contract."""
    settings = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = next(one for one in settings["tool"]["importlinter"]["contracts"] if one["type"] == "layers")
    return [[name.strip().removeprefix(f"{PACKAGE}.") for name in layer.split("|")] for layer in contract["layers"]]


def arrows(rooms: list[str]) -> list[tuple[str, str]]:
    """Which room imports which, without what follows from two other arrows."""
    graph = grimp.build_graph(PACKAGE)
    direct = {
        (room, other)
        for room in rooms
        for other in rooms
        if room != other
        and graph.direct_import_exists(importer=f"{PACKAGE}.{room}", imported=f"{PACKAGE}.{other}", as_packages=True)
    }
    reached = {pair for pair in direct if _longer_way(pair, direct)}
    return sorted(direct - reached)


def _longer_way(pair: tuple[str, str], direct: set[tuple[str, str]]) -> bool:
    """Whether an arrow follows from two or more others."""
    start, end = pair
    seen, todo = {start}, [other for room, other in direct if room == start and other != end]
    while todo:
        room = todo.pop()
        if room == end:
            return True
        if room not in seen:
            seen.add(room)
            todo += [other for left, other in direct if left == room]
    return False


def drawing() -> str:
    """The diagram and the table."""
    floors = layers()
    rooms = [room for floor in floors for room in floor if room != "__main__"]
    lines = ["```mermaid", "flowchart TD"]
    lines += [f"    {room}" for room in rooms]
    lines += [f"    {room} --> {other}" for room, other in arrows(rooms)]
    lines += ["```", "", "The drawing leaves out arrows that follow from others. From the top down:", ""]
    lines += ["| room | holds | modules |", "|---|---|---|"]
    for room in rooms:
        lines.append(f"| {_link(room)} | {_first_line(_file(room))} | {_modules(room)} |")
    return "\n".join([*lines, ""])


def _file(room: str) -> Path:
    folder = ROOT / PACKAGE / room
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def _link(room: str) -> str:
    path = _file(room)
    target = path.parent if path.name == "__init__.py" else path
    return f"[`{room}`](../{target.relative_to(ROOT).as_posix()})"


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def _modules(room: str) -> str:
    folder = ROOT / PACKAGE / room
    if not folder.is_dir():
        return ""
    names = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
    names += [f"{path.parent.name}/" for path in folder.glob("*/__init__.py")]
    return " ".join(f"`{name}`" for name in sorted(names))


def page() -> str:
    """The whole page, its drawing made anew."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{drawing()}{END}{after}"


if __name__ == "__main__":
    sys.exit(write_or_compare(PAGE, page(), "docs/architecture.md is not as the code is."))
