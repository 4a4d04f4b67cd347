"""Check that the imports inside sessionlab point down its floors; print each one that does not, with file and line."""

from __future__ import annotations

import ast
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sessionlab")

# From the ground up. A part may use itself, what lies on a lower floor, and what stands before it on its own.
FLOORS = (
    ("errors", "model", "settings"),
    ("store", "pricing"),
    ("sources",),
    ("lab",),
    ("archive", "exporting", "mining", "charts"),
    ("browser",),
    ("cli",),
    ("__main__",),
)
RANK = {part: rank for rank, part in enumerate(part for floor in FLOORS for part in floor)}
STANDARD_LIBRARY_ONLY = ("", "errors", "model", "store")  # "" is sessionlab/__init__.py
DUCKDB = ("duckdb", "_duckdb", "duckdb_extension_sqlite_scanner")
# The one step up: module, class, method, and the part that it may import there, and anywhere for its type.
LAZY_STEP = ("lab.lab", "Lab", "browse", "browser")


@dataclass(frozen=True, slots=True)
class Import:
    """One import: where it stands, and the full name of what it brings."""

    line: int
    name: str
    inside: tuple[str, ...]  # the classes and functions around it
    for_types_only: bool


def check(root: str = ROOT) -> list[str]:
    """Return what is wrong with the imports of the package at `root`, one text for each."""
    homes = _homes(os.path.join(root, "__init__.py"))
    found: list[str] = []
    for path in _modules(root):
        relative = os.path.relpath(path, root)
        module = relative.removesuffix(".py").replace(os.sep, ".").removesuffix("__init__").removesuffix(".")
        part = module.partition(".")[0]
        shown = os.path.relpath(path, os.path.dirname(root))
        if part and part not in RANK:
            found.append(f"{shown}:1: {part!r} stands on no floor; add it to FLOORS in scripts/check_imports.py")
            continue
        for one in _imports(path, module, is_package=os.path.basename(path) == "__init__.py"):
            if wrong := _wrong(part, module, one, homes):
                found.append(f"{shown}:{one.line}: {wrong}")
    return found


def _wrong(part: str, module: str, one: Import, homes: dict[str, str]) -> str | None:
    """Return what is wrong with one import, or None."""
    package, _, rest = one.name.partition(".")
    if package in DUCKDB and part != "lab":
        return f"imports {package}; only sessionlab/lab does"
    if package != "sessionlab":
        if part in STANDARD_LIBRARY_ONLY and package not in sys.stdlib_module_names:
            return f"imports {package}; sessionlab/{part} uses the standard library only"
        return None
    if not part:
        return None if one.for_types_only else "imports a part of sessionlab at once; names are brought when first used"
    target = rest.partition(".")[0]
    target = homes.get(target, target)
    if target in ("", "__version__") or (target in RANK and RANK[target] <= RANK[part]):
        return None
    if target not in RANK:
        return f"imports {one.name}, which is no part of sessionlab that is known"
    step_module, step_class, step_method, step_part = LAZY_STEP
    is_inside = one.for_types_only or one.inside[:2] == (step_class, step_method)
    if (module, target) == (step_module, step_part) and is_inside:
        return None
    return f"{part} imports {one.name}; {target} stands above it"


def _modules(root: str) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        yield from (os.path.join(folder, name) for name in sorted(files) if name.endswith(".py"))


def _homes(path: str) -> dict[str, str]:
    """Return which part each public name comes from, as sessionlab/__init__.py tells the type checker."""
    homes = {}
    for one in _imports(path, "", is_package=True):
        if one.name.startswith("sessionlab."):
            homes[one.name.rpartition(".")[2]] = one.name.split(".")[1]
    return homes


def _imports(path: str, module: str, *, is_package: bool) -> Iterator[Import]:
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read(), path)
    full = f"sessionlab.{module}".rstrip(".").split(".")
    package = full if is_package else full[:-1]
    yield from _walk(tree, package, (), for_types_only=False)


def _walk(node: ast.AST, package: list[str], inside: tuple[str, ...], *, for_types_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        for name in _names(child, package):
            yield Import(getattr(child, "lineno", 1), name, inside, for_types_only)
        within = inside
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            within = (*inside, child.name)
        only = for_types_only or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test))
        yield from _walk(child, package, within, for_types_only=only)


def _names(node: ast.AST, package: list[str]) -> Iterator[str]:
    """Yield the full names that a node brings in: by import, by import_module("…"), or as sessionlab.something."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package[: len(package) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sessionlab":
        yield f"sessionlab.{node.attr}"
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        name = node.args[0].value
        if called in ("import_module", "__import__") and isinstance(name, str):
            yield ".".join(package) + name if name.startswith(".") else name


def main() -> int:
    """Print what is wrong and return 1, or 0 where nothing is."""
    found = check()
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
