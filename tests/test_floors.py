"""The floors of the house: imports go down, and each floor keeps to its trade.

6 service · 5 server · 4 mailbox · 3 wire, store, auth · 2 mime · 1 model ·
0 errors, ids, limits.
"""

import ast
import unittest
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {
    **dict.fromkeys(("errors", "ids", "limits"), 0),
    "model": 1,
    "mime": 2,
    **dict.fromkeys(("wire", "store", "auth"), 3),
    "mailbox": 4,
    "server": 5,
    "service": 6,
}
#: What a floor may import of Twisted; those not named may import all of it.
TWISTED = {
    **dict.fromkeys(("errors", "ids", "limits", "model", "mime", "wire"), ()),
    "store": ("twisted.logger",),
}
#: Whose files are opened where: mail only in store/.
OPENERS = ("store", "auth", "service")
OWN_FILES = ("imapd/server/tls.py",)  # certificates
PURE = ("errors", "ids", "limits", "model", "mime", "wire")
FILE_MODULES = ("io", "os", "pathlib", "shutil", "socket", "sqlite3", "tempfile")
FILE_CALLS = {
    *("open", "link", "symlink", "rename", "renames", "replace", "remove", "unlink"),
    *("mkdir", "makedirs", "rmdir", "scandir", "listdir", "walk", "stat", "lstat"),
    *("utime", "truncate", "fsync", "fdatasync", "chmod", "chown", "access"),
}


def modules() -> Iterator[tuple[Path, str, ast.Module]]:
    """(path, part, tree) of each module of imapd; ``part`` is a key of FLOORS."""
    for path in sorted((ROOT / "imapd").rglob("*.py")):
        relative = path.relative_to(ROOT / "imapd")
        if relative.name == "__init__.py" and len(relative.parts) == 1:
            continue
        part = relative.parts[0].removesuffix(".py")
        yield path.relative_to(ROOT), part, ast.parse(path.read_bytes())


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of whatever is imported, anywhere in the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "relative imports hide floors"
            yield from (
                (node.lineno, f"{node.module}.{alias.name}") for alias in node.names
            )


def under(name: str, packages: tuple[str, ...]) -> bool:
    return any(
        name == package or name.startswith(f"{package}.") for package in packages
    )


def upward(part: str, name: str) -> bool:
    """Whether ``part`` may not import ``name``: it is above, or beside it."""
    if not under(name, ("imapd",)):
        return False
    other = (*name.split("."), "")[1]
    if other == part:
        return False
    if other.startswith("__"):  # the package's own, such as its version
        return False
    floor = FLOORS.get(other)
    return floor is None or floor >= FLOORS[part]


def file_call(call: ast.Call) -> str | None:
    """``open`` or ``os.link``, if the call is one."""
    match call.func:
        case ast.Name(id="open"):
            return "open"
        case ast.Attribute(value=ast.Name(id="os" | "io" as module), attr=name):
            return f"{module}.{name}" if name in FILE_CALLS else None
    return None


def wire_octets(value: object) -> bool:
    """Whether a constant is the beginning of a response."""
    return isinstance(value, bytes) and value.startswith((b"* ", b"+ "))


class FloorTests(unittest.TestCase):
    def setUp(self) -> None:
        self.modules = list(modules())

    def check(self, wrong: list[str]) -> None:
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_every_part_was_found(self) -> None:
        self.assertEqual({part for _, part, _ in self.modules}, set(FLOORS))
        self.assertGreater(len(self.modules), 20)

    def test_the_rules_catch_what_they_should(self) -> None:
        for part, name, expected in (
            ("wire", "imapd.store.api", True),
            ("model", "imapd.wire.encode.nstring", True),
            ("store", "imapd.mailbox.hub", True),
            ("mailbox", "imapd.wire.encode", False),
            ("wire", "imapd.wire.encode", False),
            ("wire", "imapd.unheard", True),
            ("wire", "re", False),
            ("errors", "imapd.ids.Uid", True),
            ("service", "imapd.__version__", False),
        ):
            self.assertEqual(upward(part, name), expected, f"{part}: {name}")
        for code, found in (
            ("open('x')", "open"),
            ("os.link(a, b)", "os.link"),
            ("os.getpid()", None),
            ("a.open()", None),
            ("text.replace(a, b)", None),
        ):
            call = ast.parse(code, mode="eval").body
            assert isinstance(call, ast.Call)
            self.assertEqual(file_call(call), found, code)
        self.assertTrue(wire_octets(b"* BYE"))
        self.assertFalse(wire_octets(b"*"))

    def test_imports_go_down(self) -> None:
        self.check(
            [
                f"{path}:{line}: {part} imports {name}"
                for path, part, tree in self.modules
                for line, name in imported(tree)
                if upward(part, name)
            ]
        )

    def test_the_reactor_stays_above(self) -> None:
        # Hardening: V04.
        reactor = ("twisted.internet.reactor",)
        self.check(
            [
                f"{path}:{line}: {name}"
                for path, part, tree in self.modules
                for line, name in imported(tree)
                if under(name, ("twisted",))
                and (
                    (FLOORS[part] < 4 and under(name, reactor))
                    or (part in TWISTED and not under(name, TWISTED[part]))
                )
            ]
        )

    def test_only_the_store_opens_mail(self) -> None:
        self.check(
            [
                f"{path}:{node.lineno}: {file_call(node)}"
                for path, part, tree in self.modules
                if part not in OPENERS and str(path) not in OWN_FILES
                for node in ast.walk(tree)
                if isinstance(node, ast.Call) and file_call(node)
            ]
        )

    def test_the_pure_floors_know_no_files(self) -> None:
        self.check(
            [
                f"{path}:{line}: {name}"
                for path, part, tree in self.modules
                if part in PURE
                for line, name in imported(tree)
                if under(name, FILE_MODULES)
            ]
        )

    def test_only_wire_builds_responses(self) -> None:
        self.check(
            [
                f"{path}:{node.lineno}: {node.value!r}"
                for path, part, tree in self.modules
                if part != "wire"
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant) and wire_octets(node.value)
            ]
        )
