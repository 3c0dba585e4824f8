"""The account's state: found again, healed, or done without."""

import errno
import gc
import json
import os
import sqlite3
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

from imapd.errors import OverQuota, Unavailable
from imapd.model.mailbox import NamespaceStyle
from imapd.store import fsops, sqlfiles
from imapd.store.database import Database
from imapd.store.state import _SCHEMA, AccountState, _put

GUID = "0123456789abcdef" * 2
OTHER = "f" * 32


class StateTests(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        self.path = self.root / "imapd-state.sqlite3"

    def open(self) -> AccountState:
        state = AccountState(bytes(self.root))
        self.addCleanup(state.close)
        return state

    def fill(self, state: AccountState) -> None:
        state.set_namespace_style(NamespaceStyle.COURIER)
        state.note_uid_validity(1234567890)
        state.set_special_uses({rb"\Sent": ("Gesendet", "ü")})
        state.set(GUID, {7: frozenset((b"$Work", b"later"))})

    def test_everything_is_found_again(self) -> None:
        first = self.open()
        self.assertIsNone(first.namespace_style)
        self.fill(first)
        first.close()
        state = self.open()
        self.assertIs(state.namespace_style, NamespaceStyle.COURIER)
        self.assertEqual(state.uid_validity, 1234567890)
        self.assertEqual(state.special_uses(), {rb"\Sent": ("Gesendet", "ü")})
        self.assertEqual(state.keywords(GUID), {7: {b"$Work", b"later"}})
        self.assertEqual(state.keywords(OTHER), {})
        state.close()
        self.assertEqual(os.listdir(self.root), ["imapd-state.sqlite3"])
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_what_is_no_journal_holds_up_nobody(self) -> None:
        """SQLite would wait for ever at a FIFO, and a worker with it."""
        for suffix in ("-journal", "-wal"):
            beside = self.root / f"{self.path.name}{suffix}"
            for name, make in {
                "FIFO": lambda at=beside: os.mkfifo(at),
                "link": lambda at=beside: at.symlink_to("elsewhere"),
                "directory": lambda at=beside: at.mkdir(),
            }.items():
                for when in ("open", "closed"):
                    with self.subTest(f"{name} at {suffix}, {when}"):
                        state = self.open()
                        self.fill(state)
                        if when == "closed":
                            state.close()
                        make()
                        answers: list[int] = []
                        worker = threading.Thread(
                            target=lambda state=state, answers=answers: answers.append(
                                state.uid_validity
                            ),
                            daemon=True,
                        )
                        worker.start()
                        worker.join(5)
                        self.assertEqual(answers, [1234567890])
                        self.assertFalse(os.path.lexists(beside))
                        state.close()

    def test_the_high_water_mark_never_falls(self) -> None:
        # Hardening: D13.
        state = self.open()
        state.note_uid_validity(5)
        state.note_uid_validity(3)
        self.assertEqual(state.uid_validity, 5)

    def test_keywords_are_replaced_and_removed(self) -> None:
        state = self.open()
        state.set(GUID, {1: frozenset((b"a",)), 2: frozenset((b"b",))})
        state.set(GUID, {1: frozenset((b"c",)), 2: frozenset()})
        self.assertEqual(state.keywords(GUID), {1: {b"c"}})
        state.set(OTHER, {1: frozenset((b"d",))})
        state.forget_mailbox(GUID)
        self.assertEqual(state.keywords(GUID), {})
        self.assertEqual(state.keywords(OTHER), {1: {b"d"}})

    def test_every_damage(self) -> None:
        """Each page is cut and flipped: what is left is right, or gone."""
        # Hardening: D15.
        state = self.open()
        self.fill(state)
        state.close()
        good = self.path.read_bytes()
        cases = [good[:end] for end in (0, 1, 15, 16, 99, 100, 4095, 4096, 5000)]
        spots = {*range(120), *range(4000, 4300), *range(0, len(good), 37)}
        for at in sorted(spots):
            if at < len(good):
                cases.append(good[:at] + bytes([good[at] ^ 0x41]) + good[at + 1 :])
        cases += [b"garbage" * 1000, b"\0" * len(good)]
        for number, octets in enumerate(cases):
            self.path.write_bytes(octets)
            state = AccountState(bytes(self.root))
            style, validity = state.namespace_style, state.uid_validity
            self.assertIn(style, (None, NamespaceStyle.COURIER), number)
            self.assertIn(validity, (0, 1234567890), number)
            self.assertIn(
                state.special_uses(), ({}, {rb"\Sent": ("Gesendet", "ü")}), number
            )
            self.assertIn(state.keywords(GUID), ({}, {7: {b"$Work", b"later"}}), number)
            for _ in range(2):  # the first may find the damage
                try:
                    state.set_namespace_style(NamespaceStyle.DOVECOT)
                    break
                except Unavailable:
                    continue
            self.assertIs(state.namespace_style, NamespaceStyle.DOVECOT, number)
            state.close()
            for path in self.root.iterdir():
                path.unlink()

    def test_a_damaged_setting_is_none_and_the_others_stay(self) -> None:
        """Past the checks that SQLite makes of its own pages."""
        state = self.open()
        self.fill(state)
        state.close()
        for value in ("dovecot", b"courier"):
            with sqlite3.connect(self.path) as connection:
                connection.execute(
                    "UPDATE setting SET value = ? WHERE name = 'namespace'", (value,)
                )
            connection.close()
            state = self.open()
            self.assertIsNone(state.namespace_style, value)
            self.assertEqual(state.uid_validity, 1234567890)
            state.close()
        state = self.open()
        state.set_namespace_style(NamespaceStyle.SLASH)
        self.assertIs(state.namespace_style, NamespaceStyle.SLASH)

    def test_a_special_use_that_names_no_mailbox_is_left_out(self) -> None:
        """As another version may have written it: all of it is as it should be."""
        state = self.open()
        state.set_special_uses({rb"\Sent": ("Sent",), rb"\Trash": ("Trash",)})
        with state._database.transaction() as connection:
            ((name,),) = connection.execute(
                "SELECT name FROM setting WHERE value = ?", (json.dumps(["Sent"]),)
            )
        for value in ("Sent", '["Sent"', '{"Sent": 1}', '["Sent", 7]', '"Sent"'):
            with state._database.transaction() as connection:
                _put(connection, name, value)
            self.assertEqual(state.special_uses(), {rb"\Trash": ("Trash",)}, value)

    def test_a_damaged_file_is_kept_aside(self) -> None:
        self.path.write_bytes(b"not a database, but somebody's" * 99)
        self.assertIsNone(self.open().namespace_style)
        aside = [n for n in os.listdir(self.root) if "damaged" in n]
        self.assertEqual(len(aside), 1)

    def test_a_newer_version_is_not_written_to(self) -> None:
        state = self.open()
        self.fill(state)
        state.close()
        with sqlite3.connect(self.path) as connection:
            connection.execute("PRAGMA user_version=99")
        connection.close()
        octets = self.path.read_bytes()
        self.assertIsNone(self.open().namespace_style)
        (aside,) = (n for n in self.root.iterdir() if "damaged" in n.name)
        self.assertEqual(aside.read_bytes(), octets)

    def test_other_things_of_that_name(self) -> None:
        # Hardening: F03.
        precious = self.root / "precious"
        precious.write_bytes(b"x")
        for plant in (
            self.path.mkdir,
            lambda: os.mkfifo(self.path),
            lambda: self.path.symlink_to(precious),
        ):
            plant()
            state = self.open()
            self.fill(state)
            self.assertIs(state.namespace_style, NamespaceStyle.COURIER)
            state.close()
            self.path.unlink()
        self.assertEqual(precious.read_bytes(), b"x")

    def test_deleted_while_it_is_open(self) -> None:
        state = self.open()
        self.fill(state)
        self.path.unlink()
        self.assertIsNone(state.namespace_style)
        self.fill(state)
        self.assertIs(self.open().namespace_style, NamespaceStyle.COURIER)

    def test_an_account_that_cannot_be_written(self) -> None:
        first = self.open()
        self.fill(first)
        first.close()
        with mock.patch("os.access", return_value=False):
            state = self.open()
            self.assertIs(state.namespace_style, NamespaceStyle.COURIER)
            state.set_namespace_style(NamespaceStyle.SLASH)
            self.assertIs(state.namespace_style, NamespaceStyle.SLASH)
        self.assertIs(self.open().namespace_style, NamespaceStyle.COURIER)
        self.path.unlink()
        error = PermissionError(13, "no")
        with mock.patch.object(fsops, "open_exclusive", side_effect=error):
            state = self.open()
            self.fill(state)
            self.assertIs(state.namespace_style, NamespaceStyle.COURIER)
        self.assertEqual(os.listdir(self.root), [])

    def test_what_may_pass_is_not_kept_in_memory_only(self) -> None:
        """What was said to be kept would be lost with the process."""
        for number, expected in (
            (errno.EMFILE, Unavailable),
            (errno.ENOSPC, OverQuota),
            (errno.EIO, Unavailable),
        ):
            state = self.open()
            failure = OSError(number, "no")
            with mock.patch.object(fsops, "open_exclusive", side_effect=failure):
                self.assertEqual(state.keywords(GUID), {}, number)
                with self.assertRaises(expected, msg=number):
                    state.set_setting("name", "value")
            state.set_setting("name", "value")
            state.close()
            state = self.open()
            self.assertEqual(state.setting("name"), "value", number)
            state.close()
            self.path.unlink()

    def test_one_that_cannot_even_be_looked_at_says_nothing(self) -> None:
        state = self.open()
        self.fill(state)
        failure = OSError(errno.EIO, "no")
        with mock.patch.object(fsops, "status", side_effect=failure):
            self.assertIsNone(state.load_modseqs(GUID))
            self.assertEqual(state.keywords(GUID), {})
            self.assertEqual(state.uid_validity, 0)
        self.assertEqual(state.uid_validity, 1234567890)

    def test_threads_and_processes(self) -> None:
        errors: list[BaseException] = []

        def work(state: AccountState, first: int) -> None:
            try:
                for uid in range(first, first + 20):
                    state.set(GUID, {uid: frozenset((b"k",))})
                    state.note_uid_validity(uid)
            except BaseException as error:
                errors.append(error)

        shared = self.open()
        threads = [
            threading.Thread(target=work, args=(state, 1000 * number))
            for number, state in enumerate(
                (shared, shared, self.open(), self.open()), 1
            )
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])
        self.assertEqual(len(self.open().keywords(GUID)), 80)
        self.assertEqual(self.open().uid_validity, 4019)

    def test_only_so_many_connections(self) -> None:
        databases = []
        for number in range(200):
            path = bytes(self.root / f"{number}.sqlite3")
            databases.append(Database(path, _SCHEMA, sqlfiles.remove))
            with databases[-1].transaction(write=False) as connection:
                connection.execute("SELECT 1")
        connected = [one for one in databases if one._connection is not None]
        self.assertLessEqual(len(connected), 130)
        with databases[0].transaction() as connection:
            connection.execute("SELECT 1")
        for one in databases:
            one.close()

    def test_one_that_nobody_has_any_more_takes_its_descriptor_with_it(self) -> None:
        # What a thread still asks, once the account was closed, opens it again.
        def descriptors() -> int:
            gc.collect()
            return len(os.listdir("/proc/self/fd"))

        state = self.open()
        self.fill(state)
        state.close()
        before = descriptors()
        late = Database(bytes(self.path), _SCHEMA, sqlfiles.remove)
        late.close()
        with late.transaction(write=False):
            self.assertGreater(descriptors(), before)
        del late
        self.assertEqual(descriptors(), before)

    def test_no_connection_holds_memory_for_tables_that_it_never_has(self) -> None:
        # What is opened for temporary tables takes as much as the file itself.
        self.fill(self.open())
        with self.open()._database.transaction(write=False) as connection:
            parts = connection.execute("PRAGMA database_list").fetchall()
        self.assertEqual([name for _, name, _ in parts], ["main"])

    def test_a_failed_transaction_changes_nothing(self) -> None:
        state = self.open()
        self.fill(state)
        with (
            self.assertRaises(RuntimeError),
            state._database.transaction() as connection,
        ):
            connection.execute("DELETE FROM setting")
            raise RuntimeError
        self.assertIs(state.namespace_style, NamespaceStyle.COURIER)
