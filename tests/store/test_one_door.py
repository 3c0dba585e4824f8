"""All that ``store/`` does to the disk goes through ``fsops``, where tests stop it."""

import ast
import unittest
from collections.abc import Iterator
from pathlib import Path

STORE = Path(__file__).resolve().parents[2] / "imapd" / "store"
#: Beside it what its operations are made of.
DOOR = ("fsops.py", "handles.py", "renames.py", "statx.py")

#: Of ``os``: no operation on a file.
NO_FILES = {
    *("path", "fsencode", "fsdecode", "stat_result", "strerror", "register_at_fork"),
    *("getpid", "geteuid", "uname", "kill", "major", "minor", "sysconf"),
    *("R_OK", "W_OK", "X_OK"),
}
#: Of ``os.path``: words, and no look at the disk.
WORDS = {"dirname", "basename", "abspath", "split", "join"}
MODULES = {"shutil", "tempfile", "io", "glob", "mmap", "socket", "subprocess"}
METHODS = {
    *("open", "mkdir", "unlink", "rename", "replace", "rmdir", "touch", "symlink_to"),
    *("hardlink_to", "chmod", "read_bytes", "read_text", "write_bytes", "write_text"),
    *("exists", "is_dir", "is_file", "iterdir", "glob", "rglob", "stat", "lstat"),
    *("resolve", "readlink"),
}
#: What goes past it all the same, and why that is no place to stop.
ALLOWED = {
    # What a descriptor of ours is: no name is looked up, nothing is changed.
    ("maildir/accountlock.py", "os.fstat"),
    ("maildir/linking.py", "os.fstat"),
    ("maildir/opening.py", "os.fstat"),
    ("maildir/removal.py", "os.fstat"),
    ("maildir/streaming.py", "os.fstat"),
    ("maildir/uidlist.py", "os.fstat"),
    ("dotlock.py", "os.fstat"),
    ("locks.py", "os.fstat"),
    # Questions whose answer is taken back by the operation that follows.
    ("database.py", "os.access"),
    ("maildir/core.py", "os.access"),
    ("maildir/opening.py", "os.access"),
    # The directory of the cache, which may be lost: made before anything else is.
    ("maildir/opening.py", "Path.mkdir"),
    # Where an administrator's links lead, before what is there is opened.
    ("maildir/folders.py", "os.path.realpath"),
    ("maildir/opening.py", "os.path.lexists"),
    ("maildir/opening.py", "os.path.realpath"),
    # Not mail but tables of the kernel.
    ("filesystems.py", "open"),
    ("filesystems.py", "os.stat"),
    ("filesystems.py", "os.path.realpath"),
    # A kernel lock, which dies with its process and leaves nothing.
    ("maildir/accountlock.py", "fcntl"),
    # SQLite has its own way to the disk; ``tests/store/faults.py`` stops at each
    # statement, and the size only tells how thoroughly a file is checked.
    ("database.py", "sqlite3.connect"),
    ("database.py", "os.path.getsize"),
}


def uses(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, what) of each use of the disk."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            what = _imported(node)
        elif isinstance(node, ast.Call):
            what = _called(node)
        elif isinstance(node, ast.Attribute):
            what = _of_os(node)
        else:
            continue
        if what is not None:
            yield node.lineno, what


def _imported(node: ast.Import | ast.ImportFrom) -> str | None:
    names = [alias.name for alias in node.names]
    if isinstance(node, ast.Import):
        roots = {name: name.partition(".")[0] for name in names}
        return next((one for one in names if roots[one] in {*MODULES, "fcntl"}), None)
    module = node.module or ""
    if module.partition(".")[0] in {*MODULES, "os", "fcntl"}:
        return f"from {module}"
    if module.endswith("fsops") and METHODS.intersection(names):
        return "an operation by name, which no test replaces"
    return None


def _called(node: ast.Call) -> str | None:
    match node.func:
        case ast.Name(id="open"):
            return "open"
        case ast.Attribute(value=ast.Name(id="sqlite3"), attr="connect"):
            return "sqlite3.connect"
        case ast.Attribute(value=value, attr=attr):
            if attr in METHODS and _may_be_a_path(value, node):
                return f"Path.{attr}"
    return None


def _of_os(node: ast.Attribute) -> str | None:
    match node:
        case ast.Attribute(value=ast.Name(id="os"), attr=attr):
            return None if attr in NO_FILES else f"os.{attr}"
        case ast.Attribute(
            value=ast.Attribute(value=ast.Name(id="os"), attr="path"), attr=attr
        ):
            return None if attr in WORDS else f"os.path.{attr}"
    return None


def _may_be_a_path(value: ast.expr, call: ast.Call) -> bool:
    """Whether it may be one: what else has such methods is known by its name."""
    if isinstance(value, ast.Name) and value.id in ("fsops", "os", "inbox", "lock"):
        return False
    if isinstance(value, ast.Attribute) and value.attr == "path":  # os.path
        return False
    attr = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if attr == "replace":  # of texts it has two arguments
        return len(call.args) == 1
    return attr != "stat" or isinstance(value, ast.Name)


class OneDoorTests(unittest.TestCase):
    # Hardening: D01.

    def test_it_finds_what_it_should(self) -> None:
        for code, found in (
            ("os.rename(a, b)", "os.rename"),
            ("os.fsync(a)", "os.fsync"),
            ("open(a)", "open"),
            ("import shutil", "shutil"),
            ("from os import link", "from os"),
            ("path.write_bytes(a)", "Path.write_bytes"),
            ("path.replace(a)", "Path.replace"),
            ("os.path.exists(a)", "os.path.exists"),
            ("sqlite3.connect(a)", "sqlite3.connect"),
            ("from imapd.store.fsops import rename", "an operation by name"),
            ("fsops.rename(a, b)", None),
            ("os.path.dirname(a)", None),
            ("text.replace(a, b)", None),
        ):
            what = next((what for _, what in uses(ast.parse(code))), None)
            self.assertEqual(what is None, found is None, code)
            self.assertTrue(str(what).startswith(str(found)), f"{code}: {what}")

    def test_all_goes_through_it(self) -> None:
        wrong, met, files = [], set(), 0
        for path in sorted(STORE.rglob("*.py")):
            name = str(path.relative_to(STORE))
            if name in DOOR:
                continue
            files += 1
            for line, what in uses(ast.parse(path.read_bytes())):
                if (name, what) in ALLOWED:
                    met.add((name, what))
                else:
                    wrong.append(f"{name}:{line}: {what}")
        self.assertGreater(files, 40)
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))
        self.assertEqual(ALLOWED - met, set(), "allowed, and not used any more")
