"""Make mutants: copies of a module in which one small thing is another.

Each is one function whose code differs by one comparison, operator, constant or
statement.  It is put in the place of the running function, so that whoever has
imported that already meets it.
"""

import ast
import copy
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final

_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
#: What is only told to somebody who reads the log.
_TELLING: Final = ("_log.",)


@dataclass(frozen=True)
class Mutant:
    """One function with one thing changed."""

    module: str
    function: str
    line: int
    change: str
    code: CodeType

    @property
    def name(self) -> str:
        """Where and what, also for lists of survivors: without the line."""
        return f"{self.module}:{self.function}: {self.change}"

    def put_in_place(self) -> None:
        """Replace the running function's code, in this process, for good."""
        _running(self.module, self.function).__code__ = self.code


def mutants_of(module: str) -> list[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    file = str(importlib.import_module(module).__file__)
    found: dict[str, Mutant] = {}
    for function, node in _functions(ast.parse(Path(file).read_text("utf-8")), ""):
        original = _code(function, node, file)
        for line, change, mutated in _changes(node):
            code = _code(function, mutated, file)
            if code == original:
                continue
            mutant = Mutant(module, function, line, change, code)
            number = 1
            while mutant.name in found:  # the same change in the same function
                number += 1
                told = f"{change} #{number}"
                mutant = Mutant(module, function, line, told, code)
            found[mutant.name] = mutant
    return list(found.values())


Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, Function):
            yield f"{prefix}{child.name}", child


def _code(function: str, node: Function, file: str) -> CodeType:
    """Compile one function, in classes of the names of those that it is in."""
    inner: ast.stmt = node
    *classes, _ = function.split(".")
    for name in reversed(classes):
        inner = ast.ClassDef(name, [], [], [inner], [])
    module = ast.fix_missing_locations(ast.Module([inner], []))
    code = compile(module, file, "exec")
    for name in function.split("."):
        code = next(
            each
            for each in code.co_consts
            if isinstance(each, CodeType) and each.co_name == name
        )
    return code


def _running(module: str, function: str) -> FunctionType:
    found: Any = importlib.import_module(module)
    for name in function.split("."):
        found = vars(found)[name]
    while not isinstance(found, FunctionType) or hasattr(found, "__wrapped__"):
        for inner in ("__wrapped__", "__func__", "fget", "func"):
            if (inside := getattr(found, inner, None)) is not None:
                found = inside
                break
        else:
            raise TypeError(f"{module}: {function} has no code of ours")
    return found


def _changes(function: Function) -> Iterator[tuple[int, str, Function]]:
    """Each change of a function: line, what, and the function with it."""
    for statement in function.body:
        for node in _walk(statement):
            for told, change in _of(node):
                mutated = copy.deepcopy(function)
                change(_same(mutated, function, node))
                yield getattr(node, "lineno", function.lineno), told, mutated


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """All below that is run, and is for more than the reader of a log."""
    if isinstance(node, ast.keyword) and node.arg == "strict":
        return  # of zip: it says what is so
    if isinstance(node, ast.Expr):
        if isinstance(node.value, ast.Constant):
            return
        if ast.unparse(node).startswith(_TELLING):
            return
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_comment", "format_spec"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_text(child):
                yield from _walk(child)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _same(mutated: ast.AST, whole: ast.AST, node: ast.AST) -> ast.AST:
    pairs = zip(ast.walk(whole), ast.walk(mutated), strict=True)
    return next(theirs for ours, theirs in pairs if ours is node)


Change = tuple[str, Callable[[Any], None]]


def _of(node: ast.AST) -> Iterator[Change]:
    text = ast.unparse(node).split("\n")[0][:70]
    if isinstance(node, ast.Compare):
        for number, operator in enumerate(node.ops):
            other = _COMPARISONS[type(operator)]
            yield f"{text} -> {other.__name__}", _set_operator(number, other())
    elif isinstance(node, ast.BoolOp):
        both = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield f"{text} -> {type(both).__name__}", _setter("op", both)
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _OPERATORS:
        if _joins_octets(node):
            return
        changed = _OPERATORS[type(node.op)]
        yield f"{text} -> {changed.__name__}", _setter("op", changed())
    elif isinstance(node, ast.Constant):
        yield from _of_constant(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"{text} -> without not", _without_not
    yield from _of_statement(node, text)


def _joins_octets(node: ast.AST) -> bool:
    """Whether another operator would be an error whatever is tested."""
    return any(
        isinstance(each, ast.Constant) and isinstance(each.value, bytes | str)
        for each in ast.walk(node)
    )


def _of_constant(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield f"{value} -> {not value}", _setter("value", not value)
    elif isinstance(value, int):
        yield f"{value} -> {value + 1}", _setter("value", value + 1)
    elif isinstance(value, bytes):
        # Of those that are stripped, one more would be the same to all but itself.
        other = b"" if len(value) == 1 else value + b"X"
        yield f"{value!r} -> {other!r}", _setter("value", other)


def _of_statement(node: ast.AST, text: str) -> Iterator[Change]:
    if isinstance(node, ast.If | ast.While | ast.IfExp) and not isinstance(
        node.test, ast.Compare | ast.UnaryOp | ast.Constant
    ):
        yield f"{text} -> if not", _negate
    elif isinstance(node, ast.Expr | ast.AugAssign | ast.Raise | ast.Delete):
        yield f"{text} -> removed", _remove
    elif isinstance(node, ast.Return) and not (
        node.value is None or ast.unparse(node.value) in ("None", "False")
    ):
        yield f"{text} -> None", _setter("value", ast.Constant(None))
    elif isinstance(node, ast.Continue | ast.Break):
        yield f"{text} -> removed", _remove


def _setter(name: str, value: object) -> Callable[[Any], None]:
    return lambda node: setattr(node, name, value)


def _set_operator(number: int, operator: ast.cmpop) -> Callable[[Any], None]:
    def change(node: ast.Compare) -> None:
        node.ops[number] = operator

    return change


def _negate(node: Any) -> None:
    node.test = ast.UnaryOp(ast.Not(), node.test)


def _without_not(node: Any) -> None:
    _become(node, ast.Call(ast.Name("bool", ast.Load()), [node.operand], []))


def _remove(node: Any) -> None:
    _become(node, ast.Pass())


def _become(node: Any, other: ast.AST) -> None:
    """Turn a node into another one where it is: nothing knows its parent."""
    place = {name: getattr(node, name) for name in node._attributes}
    node.__class__ = other.__class__
    vars(node).clear()
    vars(node).update(vars(other), **place)
