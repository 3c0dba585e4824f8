"""An event is kept by whoever keeps logs: it must keep nothing else alive.

An exception has its traceback, that its frames, and those a session with its account.
"""

import ast
import unittest
from collections.abc import Iterator

from tests.test_floors import modules

#: ``failure`` is told what was raised, and whoever keeps events cleans it.
_METHODS = ("debug", "info", "warn", "error", "critical")


def caught(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    """Each call that logs an exception itself: the call, and the exception's name."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        named = {
            each.name
            for each in ast.walk(function)
            if isinstance(each, ast.ExceptHandler) and each.name
        }
        named |= {
            each.arg
            for each in ast.walk(function.args)
            if isinstance(each, ast.arg)
            and isinstance(each.annotation, ast.Name)
            and each.annotation.id.endswith(("Error", "Exception"))
        }
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and _logs(call):
                for keyword in call.keywords:
                    value = keyword.value
                    if isinstance(value, ast.Name) and value.id in named:
                        yield call, value.id


def _logs(call: ast.Call) -> bool:
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr in _METHODS
        and isinstance(function.value, ast.Name)
        and function.value.id.strip("_") == "log"
    )


class LogCallTests(unittest.TestCase):
    def test_no_event_holds_an_exception(self) -> None:
        calls, found = 0, []
        for path, _part, tree in modules():
            calls += sum(isinstance(n, ast.Call) and _logs(n) for n in ast.walk(tree))
            for call, name in caught(tree):
                found.append(f"{path}:{call.lineno} {name}")
        self.assertGreater(calls, 50)
        self.assertEqual(found, [])

    def test_what_is_found(self) -> None:
        source = """
def f(error: OSError):
    _log.warn("x {error!r}", error=error)
    _log.warn("x {error}", error=str(error))
async def g():
    try:
        pass
    except ValueError as broken:
        _log.debug("x {why}", why=broken)
"""
        names = [name for _, name in caught(ast.parse(source))]
        self.assertEqual(names, ["error", "broken"])

    def test_the_store_says_where(self) -> None:
        """Of ten thousand accounts, one has the file that the line tells of."""
        places = {"path", "root", "directory"}
        calls, found = 0, []
        for path, part, tree in modules():
            if part != "store":
                continue
            for call in ast.walk(tree):
                if isinstance(call, ast.Call) and _logs(call):
                    calls += 1
                    if places.isdisjoint(each.arg for each in call.keywords):
                        found.append(f"{path}:{call.lineno}")
        self.assertGreater(calls, 30)
        self.assertEqual(found, [])
