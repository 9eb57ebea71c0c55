"""The house keeps its own rules: floors, sizes, names, no lists of operations. What is read is what git tracks."""

import ast
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from rows import all_rows

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLOORS = ("base", "kernels/cpu", "tensor", "dispatch", "autograd", "ops", "python")  # each includes only those before it
TEXT = {".py", ".h", ".cpp", ".md", ".toml", ".txt", ".yml", ".floor", ""}


def tracked() -> list[pathlib.Path]:
    """Source files: those of git, or all outside build folders where this is no checkout."""
    if shutil.which("git") and (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        paths = [ROOT / line for line in listed.splitlines()]
    else:
        skipped = ("build", ".venv", "dist", "runs", "__pycache__")
        paths = [p for p in ROOT.rglob("*") if p.is_file() and not any(part in skipped for part in p.parts)]
    return [p for p in paths if p.is_file() and p.suffix in TEXT]


FILES = tracked()
CORE = [p for p in FILES if p.is_relative_to(ROOT / "core")]
PACKAGE = [p for p in FILES if p.is_relative_to(ROOT / "flambeau") and p.suffix == ".py"]


def name(path: pathlib.Path) -> str:
    return path.relative_to(ROOT).as_posix()


def floor_of(path: str) -> int:
    """The floor of a path below core/; generated headers stand on the floor that their first folder names."""
    return next(i for i, floor in enumerate(FLOORS) if path == floor or path.startswith(floor + "/"))


def test_there_is_something_to_check():
    assert len(CORE) > 50 and len(PACKAGE) > 50


# ---- floors ----


@pytest.mark.parametrize("path", CORE, ids=name)
def test_core_includes_only_lower_floors(path):
    own = floor_of(path.relative_to(ROOT / "core").as_posix())
    for included in re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.MULTILINE):
        assert floor_of(included) <= own, f'{name(path)} includes "{included}", which stands above it'


@pytest.mark.parametrize("path", [p for p in CORE if floor_of(p.relative_to(ROOT / "core").as_posix()) < 6], ids=name)
def test_core_knows_no_python(path):
    text = path.read_text()
    assert not re.search(r"#\s*include\s*[<\"](Python\.h|pybind11|nanobind|numpy)", text), name(path)
    assert not re.search(r"\bPyObject\b|\bPy_[A-Z]+", text), name(path)


# What a part of the package may import of the package when it is itself imported; "" is the part `flambeau` itself.
# Imports inside functions happen later, when everything is there, and are free.
MAY_IMPORT = {
    "_composites": {"_C", "_device", "_composites"},
    "_device": {"_C"},
    "_tensor": {"_C", "_device", "_tensor_text", "_composites"},
    "_tensor_text": {"_C"},
    "_functions": {"_C", "_device", "_tensor", "_composites"},
    "autograd": {"_C", "_composites", "_tensor", "autograd"},
    "nn": {"_C", "_device", "_composites", "_tensor", "_functions", "autograd", "nn"},
    "optim": {"_C", "_composites", "_tensor", "autograd", "nn", "optim"},
}


def imported(path: pathlib.Path):
    """(part of the package, line) for every import that runs with the module."""
    package = path.relative_to(ROOT).with_suffix("").parts
    package = package if path.name == "__init__.py" else package[:-1]
    package = package[:-1] if path.name == "__init__.py" and package[-1] == "__init__" else package
    stack = list(ast.parse(path.read_text()).body)
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            full = (*base, *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                yield (*full, alias.name), node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple(alias.name.split(".")), node.lineno
        stack += list(ast.iter_child_nodes(node))


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_package_imports_only_lower_floors(path):
    own = path.relative_to(ROOT / "flambeau").parts[0].removesuffix(".py")
    allowed = MAY_IMPORT.get(own)
    if allowed is None:  # upper floors, free to use what is public; nobody below imports them (checked above)
        return
    for module, line in imported(path):
        if module[0] == "flambeau" and len(module) > 1:
            assert module[1] in allowed, f"{name(path)}:{line} imports {'.'.join(module)}"


def test_rows_and_generator_import_nothing_of_the_package():
    for path in FILES:
        if path.suffix == ".py" and name(path).split("/")[0] in ("rows", "generate"):
            for module, line in imported(path):
                first = module[0]
                assert first in sys.stdlib_module_names or first in ("rows", "generate"), f"{name(path)}:{line} imports {first}"
                assert not (first == "generate" and name(path).startswith("rows/")), f"{name(path)}:{line}"


# ---- sizes and names ----


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_are_rooms(path):
    assert len(path.read_text(errors="replace").splitlines()) <= 1000, name(path)


@pytest.mark.parametrize(("operation", "most"), [("logaddexp", 3), ("cumsum", 3), ("softplus", 4)])
def test_an_operation_is_named_in_few_files(operation, most):
    outside = ("tests/", "benchmarks/", "docs/")
    naming = [
        name(p)
        for p in FILES
        if not name(p).startswith(outside) and re.search(rf"(?i)(?<![a-z]){operation}(?![a-z0-9])", p.read_text(errors="replace"))
    ]
    assert 1 <= len(naming) <= most, naming


MANY = 20  # the operators of Python are 19 operations


def names_in(node: ast.AST) -> set[str]:
    """Strings that a literal lists, those in the rows of a table included."""
    if isinstance(node, ast.Dict):
        entries = [*node.keys, *node.values]
    elif isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        entries = node.elts
    else:
        return set()
    found = set()
    for entry in entries:
        if isinstance(entry, ast.Constant) and isinstance(entry.value, str):
            found |= set(re.findall(r"\w+", entry.value)) if len(entry.value.split()) == 1 else set()
        elif isinstance(entry, (ast.Tuple, ast.List, ast.Dict)):
            found |= names_in(entry)
    return found


OPERATIONS = {row.name for row in all_rows() if row.function or row.method}


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix == ".py" and not name(p).startswith(("rows/", "tests/", "benchmarks/"))], ids=name)
def test_nobody_keeps_a_list_of_operations(path):
    tree = ast.parse(path.read_text())
    exported = {id(n.value) for n in tree.body if isinstance(n, ast.Assign) and ast.dump(n.targets[0]).startswith("Name(id='__all__'")}
    for node in ast.walk(tree):
        if id(node) in exported:  # what the file itself defines
            continue
        listed = names_in(node) & OPERATIONS
        assert len(listed) <= MANY, f"{name(path)}:{node.lineno} lists {len(listed)} operations: {sorted(listed)[:5]} ..."


@pytest.mark.parametrize("path", CORE, ids=name)
def test_core_keeps_no_table_of_operations(path):
    quoted = set(re.findall(r'"(\w+)"', path.read_text())) & OPERATIONS
    if path.name == "batching_rules.cpp":  # the exceptions by hand: a rule, not a name, is what stands there
        return
    if path.parent.name in ("ops", "python"):  # their messages name what they are entries of, but never in one table
        tables = re.findall(r"=\s*\{((?:[^{}]|\{[^{}]*\})*)\};", path.read_text())
        assert all(len(set(re.findall(r'"(\w+)"', t)) & OPERATIONS) <= MANY for t in tables), name(path)
    else:
        assert len(quoted) <= MANY, f"{name(path)}: {sorted(quoted)}"


def test_batching_rules_are_for_rows_that_exist():
    text = (ROOT / "core/autograd/batching_rules.cpp").read_text()
    named = set(re.findall(r'\{"(\w+)", \w+\}', text))
    assert named and named <= {row.name for row in all_rows()}


# ---- what the compiler made ----


def kernel_objects() -> list[pathlib.Path]:
    """Of all build folders but those with a sanitizer, which adds weak symbols of its own."""
    folders = [p.parent for p in (ROOT / "build").rglob("CMakeCache.txt") if "FLAMBEAU_SANITIZE:STRING=\n" in p.read_text()]
    return sorted(p for folder in folders for p in folder.glob("CMakeFiles/kernels_*.dir/**/*.o"))


@pytest.mark.skipif(not kernel_objects() or not shutil.which("nm"), reason="no build folder here")
def test_kernels_have_no_weak_symbols():
    """The linker keeps one of several weak copies: perhaps the one compiled for an instruction set this machine lacks."""
    found = []
    objects = kernel_objects()
    for at in range(0, len(objects), 100):
        text = subprocess.run(["nm", "-A", *map(str, objects[at : at + 100])], capture_output=True, text=True, check=True).stdout
        for line in text.splitlines():
            kind, symbol = line.split()[-2:]
            if kind in "WVu" and symbol != "DW.ref.__gxx_personality_v0":
                found.append(line.replace(str(ROOT) + "/", ""))
    assert found == []
