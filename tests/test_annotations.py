"""The arguments of public functions say their types."""

import ast
from pathlib import Path

P2S = Path(__file__).parents[1] / "p2s"
EXEMPT = ("cli",)  # click declares the types of a command


def _public(body):
    """The public functions and methods among statements, not those inside functions."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public(node.body)
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def _bare(function):
    """The arguments of a function that have no type, and "return" if that has none."""
    of = function.args
    arguments = [*of.posonlyargs, *of.args, *of.kwonlyargs, of.vararg, of.kwarg]
    typed = {"self", "cls"} | {a.arg for a in arguments if a and a.annotation}
    names = [a.arg for a in arguments if a and a.arg not in typed]
    return names + ["return"] * (function.returns is None)


def test_public_functions_are_annotated():
    modules = [path for path in P2S.rglob("*.py") if path.relative_to(P2S).parts[0] not in EXEMPT]
    bare = {
        (str(path.relative_to(P2S)), function.name): _bare(function)
        for path in modules
        for function in _public(ast.parse(path.read_text()).body)
    }
    assert len(bare) > 300
    assert {place: names for place, names in bare.items() if names} == {}
