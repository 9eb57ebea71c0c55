"""The composites' own rules, checked on their source: primitives only through P, no tensor methods, short functions."""

import ast
import pathlib
import statistics

import pytest

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "flambeau" / "_composites"
FILES = sorted(path for path in FOLDER.glob("*.py") if path.name != "_primitives.py")  # the door itself is exempt

# what may be asked of a tensor, a dtype or a plain Python object; everything else has to be a primitive or a composite
ASKED_OF_TENSORS = set(
    "shape dtype device dim numel stride storage_offset is_contiguous requires_grad requires_grad_ item tolist".split()
)
ASKED_OF_DTYPES = set("is_floating_point is_complex itemsize to_complex eps max tiny".split())
PLAIN = set(
    "append insert index count items values keys get pop update union partition rpartition replace join format "
    "fromkeys capitalize startswith hist bin_edges _fields __name__ __qualname__ __doc__".split()
)
STRINGS = {"left", "path"}  # text being taken apart
MODULES = {*STRINGS, "P", "math", "shape", "splitting", "functools", "warnings", "string", "METHODS"}


def attributes(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if owner not in MODULES or (owner == "shape" and node.attr not in dir(str)):
                yield owner, node.attr, node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_tensors_are_only_asked_plain_questions(path):
    shape = [ast.parse((FOLDER / name).read_text()) for name in ("shape.py", "splitting.py")]
    from_shape = {node.name for tree in shape for node in tree.body if isinstance(node, ast.FunctionDef)}
    allowed = ASKED_OF_TENSORS | ASKED_OF_DTYPES | PLAIN
    found = [
        (owner, name, line)
        for owner, name, line in attributes(ast.parse(path.read_text()))
        if name not in allowed and not (owner in ("shape", "splitting") and name in from_shape)
    ]
    assert not found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_imports_stay_inside(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            name = node.names[0].name if isinstance(node, ast.Import) else node.module
            assert name.split(".")[0] in {
                "__future__",
                "collections",
                "functools",
                "math",
                "string",
                "types",
                "typing",
                "warnings",
            }


def test_files_and_functions_are_short():
    lengths = []
    for path in FILES:
        text = path.read_text()
        assert len(text.splitlines()) <= 1000, path.name
        assert max(map(len, text.splitlines())) <= 120, path.name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                lengths.append(node.body[-1].end_lineno - body[0].lineno + 1 if body else 0)
                assert lengths[-1] <= 45, f"{path.name}: {node.name}"
    assert statistics.median(lengths) < 10


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_function_says_what_it_does(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            assert ast.get_docstring(node), f"{path.name}: {node.name}"
