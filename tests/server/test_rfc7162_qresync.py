r"""RFC 7162 §3.2, QRESYNC: sessions that leave, and come back with what they know."""

import unittest
from typing import Any
from unittest.mock import patch

from imapd.server import updates
from tests.support.grammar import Response, Tagged, Untagged
from tests.support.rfcmailbox import filled
from tests.support.server import Client, Server
from tests.support.transcript import play_all

#: Two sessions, and QRESYNC in the first.
_BOTH_SELECTED = """
        C1: a ENABLE QRESYNC
        S1: …
        S1: a OK …
        C1: b SELECT INBOX
        S1: …
        S1: b OK …
        C2: a SELECT INBOX
        S2: …
        S2: a OK …"""
#: The second has removed a message of which the first was not told.
_REMOVED = (
    _BOTH_SELECTED
    + r"""
        C2: b STORE 3 +FLAGS (\Deleted)
        S2: …
        S2: b OK …
        C2: c EXPUNGE
        S2: …
        S2: c OK …"""
)

QRESYNC = {
    "3.2.3: ENABLE QRESYNC, with and without CONDSTORE, in any order": """
        C: a ENABLE QRESYNC
        S: * ENABLED QRESYNC
        S: a OK …
        C: b ENABLE CONDSTORE QRESYNC
        S: * ENABLED CONDSTORE
        S: b OK …
        C: c SELECT INBOX
        S: …
        S: * OK [HIGHESTMODSEQ …] …
        S: c OK …
    """,
    "3.2.5, 3.2.6: BAD without ENABLE, and what was selected stays": """
        C: a SELECT INBOX
        S: …
        S: a OK …
        C: b SELECT Trash (QRESYNC (1 1))
        S: b BAD …
        C: c UID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)
        S: c BAD …
        C: d ENABLE CONDSTORE
        S: * ENABLED CONDSTORE
        S: * OK [HIGHESTMODSEQ …] …
        S: d OK …
        C: e UID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)
        S: e BAD …
        C: f FETCH 4 UID
        S: * 4 FETCH (UID 5)
        S: f OK …
    """,
    "3.2.6: VANISHED not with FETCH, not without CHANGEDSINCE": """
        C: a ENABLE QRESYNC
        S: …
        S: a OK …
        C: b SELECT INBOX
        S: …
        S: b OK …
        C: c FETCH 1:4 FLAGS (CHANGEDSINCE 1 VANISHED)
        S: c BAD …
        C: d UID FETCH 1:4 FLAGS (VANISHED)
        S: d BAD …
    """,
    "3.2.5: another UIDVALIDITY: as if nothing had changed": """
        C: a ENABLE QRESYNC
        S: …
        S: a OK …
        C: b SELECT INBOX (QRESYNC (1 1 1:4))
        S: * FLAGS …
        S: * OK [PERMANENTFLAGS …
        S: * 4 EXISTS
        S: * 0 RECENT
        S: * OK [UNSEEN 2] …
        S: * OK [UIDVALIDITY …] …
        S: * OK [UIDNEXT 6] …
        S: * OK [HIGHESTMODSEQ …] …
        S: b OK [READ-WRITE] …
    """,
    "3.2.7, 3.2.10.2: EXPUNGE tells VANISHED, and HIGHESTMODSEQ in its OK": r"""
        C: a ENABLE QRESYNC
        S: …
        S: a OK …
        C: b SELECT INBOX
        S: …
        S: b OK …
        C: c STORE 2:3 +FLAGS.SILENT (\Deleted)
        S: * 2 FETCH (UID 3 MODSEQ (…))
        S: * 3 FETCH (UID 4 MODSEQ (…))
        S: c OK …
        C: d EXPUNGE
        S: * VANISHED 3:4
        S: d OK [HIGHESTMODSEQ …] …
        C: e STORE 1 +FLAGS.SILENT (\Deleted)
        S: * 1 FETCH (UID 2 MODSEQ (…))
        S: e OK …
        C: f UID EXPUNGE 1:3
        S: * VANISHED 2
        S: f OK [HIGHESTMODSEQ …] …
    """,
    "RFC 6851 4.4: MOVE tells VANISHED too; COPYUID first": """
        C: a ENABLE QRESYNC
        S: …
        S: a OK …
        C: b SELECT INBOX
        S: …
        S: b OK …
        C: c UID MOVE 4 Trash
        S: * OK [COPYUID … 4 1] …
        S: * VANISHED 4
        S: c OK [HIGHESTMODSEQ …] …
        C: d MOVE 1 Trash
        S: * OK [COPYUID … 2 2] …
        S: * VANISHED 2
        S: d OK [HIGHESTMODSEQ …] …
    """,
    "3.2.8: CLOSE says nothing": r"""
        C: a ENABLE QRESYNC
        S: …
        S: a OK …
        C: b SELECT INBOX
        S: …
        S: b OK …
        C: c STORE 1 +FLAGS.SILENT (\Deleted)
        S: * 1 FETCH (UID 2 MODSEQ (…))
        S: c OK …
        C: d CLOSE
        S: d OK CLOSE…
    """,
    "3.2.10: IDLE tells VANISHED": _BOTH_SELECTED
    + r"""
        C1: c IDLE
        S1: + …
        C2: b STORE 3 +FLAGS (\Deleted)
        S1: * 3 FETCH (UID 4 FLAGS (\Deleted) MODSEQ (…))
        S2: * 3 FETCH (UID 4 FLAGS (\Deleted))
        S2: b OK …
        C2: c EXPUNGE
        S1: * VANISHED 4
        S2: * 3 EXPUNGE
        S2: c OK …
        C1: DONE
        S1: c OK …
    """,
    "3.2, 6: MODSEQ above an expunge held back; HIGHESTMODSEQ below it": _REMOVED
    + r"""
        C1: c STORE 1 +FLAGS (\Draft)
        S1: * 1 FETCH (UID 2 FLAGS (…) MODSEQ (…))
        S1: * OK [HIGHESTMODSEQ …] …
        S1: c OK …
        C1: d NOOP
        S1: * VANISHED 4
        S1: * OK [HIGHESTMODSEQ …] …
        S1: d OK …
        C1: e NOOP
        S1: e OK …
    """,
    "3.2.10.2: not while a UID SEARCH counts by message numbers": _REMOVED
    + r"""
        C1: c UID SEARCH NOT 1
        S1: * SEARCH 3 5
        S1: …
        S1: c OK …
        C1: d UID SEARCH ALL
        S1: * SEARCH 2 3 5
        S1: * VANISHED 4
        S1: …
        S1: d OK …
    """,
}


def qresync(server: Server, resync: str | None = None) -> Client:
    client = server.login()
    client.ok("ENABLE QRESYNC")
    client.ok("SELECT INBOX" + ("" if resync is None else f" (QRESYNC ({resync}))"))
    return client


class Known:
    """What a client knows from the responses it got, as §6 tells it to count."""

    def __init__(self) -> None:
        self.validity = self.modseq = self.highest_seen = 0
        self.exists = 0
        self.flags: dict[int, frozenset[bytes]] = {}

    def hear(self, responses: list[Response]) -> "Known":
        told = None
        for each in responses:
            data: Any = getattr(each, "data", None)
            if isinstance(each, Tagged):
                code = each.code
            elif isinstance(each, Untagged) and each.kind == b"OK":
                code = data[0]
            else:
                self._untagged(each)
                continue
            if code is not None and code.name == b"HIGHESTMODSEQ":
                told = code.arguments
            if code is not None and code.name == b"UIDVALIDITY":
                self.validity = code.arguments
            if isinstance(each, Tagged):
                if told is not None:
                    self.modseq = told
                else:
                    self.modseq = max(self.modseq, self.highest_seen)
                self.highest_seen, told = 0, None
        return self

    def _untagged(self, each: Response) -> None:
        if not isinstance(each, Untagged):
            return
        if each.kind == b"VANISHED":
            for first, last in each.data[1]:
                for uid in range(first, last + 1):
                    self.flags.pop(uid, None)
        elif each.kind == b"FETCH" and b"FLAGS" in each.data:
            self.flags[each.data[b"UID"]] = frozenset(each.data[b"FLAGS"])
        if each.kind == b"FETCH" and b"MODSEQ" in each.data:
            self.highest_seen = max(self.highest_seen, each.data[b"MODSEQ"])


class ResyncTests(unittest.TestCase):
    def test_transcripts(self) -> None:
        play_all(QRESYNC, lambda: filled(self), select=None)

    def setUp(self) -> None:
        self.server = filled(self)
        self.other = self.server.login(select="INBOX")

    def first_time(self) -> Known:
        client = self.server.login()
        client.ok("ENABLE QRESYNC")
        known = Known().hear(client.command("SELECT INBOX"))
        known.hear(client.command("UID FETCH 1:* FLAGS"))
        client.hang_up()
        return known

    def come_back(self, known: Known, more: str = "") -> list[Response]:
        client = self.server.login()
        client.ok("ENABLE QRESYNC")
        resync = f"{known.validity} {known.modseq}{more}"
        responses = client.command(f"SELECT INBOX (QRESYNC ({resync}))")
        known.hear(responses)
        client.hang_up()
        return responses

    def told(self, responses: list[Response]) -> dict[bytes, list[Any]]:
        """Data of VANISHED and FETCH responses; the former must come first."""
        found: dict[bytes, list[Any]] = {b"VANISHED": [], b"FETCH": []}
        for each in responses:
            if isinstance(each, Untagged) and each.kind in found:
                self.assertFalse(each.kind == b"VANISHED" and found[b"FETCH"])
                found[each.kind].append(each.data)
        return found

    def truth(self) -> dict[int, frozenset[bytes]]:
        known = Known()
        client = self.server.login(select="INBOX")
        known.hear(client.command("UID FETCH 1:* FLAGS"))
        client.hang_up()
        return known.flags

    def test_nothing_changed(self) -> None:
        known = self.first_time()
        told = self.told(self.come_back(known))
        self.assertEqual(told, {b"VANISHED": [], b"FETCH": []})

    def test_flags_and_expunges_and_arrivals(self) -> None:
        known = self.first_time()
        self.other.ok(r"UID STORE 2 +FLAGS (\Flagged)")
        self.other.ok(r"UID STORE 4 +FLAGS (\Deleted)")
        self.other.ok("EXPUNGE")
        self.other.append(b"Subject: new\r\n\r\n\r\n")
        told = self.told(self.come_back(known))
        self.assertEqual(told[b"VANISHED"], [(True, [(4, 4)])])
        self.assertEqual([each[b"UID"] for each in told[b"FETCH"]], [2, 6])
        self.assertEqual([each.seq for each in told[b"FETCH"]], [1, 4])
        self.assertTrue(all(b"MODSEQ" in each for each in told[b"FETCH"]))
        truth = {u: f - {rb"\Recent"} for u, f in self.truth().items()}
        heard = {u: f - {rb"\Recent"} for u, f in known.flags.items()}
        self.assertEqual(heard, truth)

    def test_only_the_known_uids(self) -> None:
        known = self.first_time()
        self.other.ok(r"UID STORE 2:5 +FLAGS (\Answered)")
        self.other.ok(r"UID STORE 3:4 +FLAGS (\Deleted)")
        self.other.ok("EXPUNGE")
        told = self.told(self.come_back(known, " 1:3"))
        self.assertEqual(told[b"VANISHED"], [(True, [(3, 3)])])
        self.assertEqual([each[b"UID"] for each in told[b"FETCH"]], [2])

    def test_uids_beyond_the_mailbox(self) -> None:
        known = self.first_time()
        self.other.ok(r"UID STORE 5 +FLAGS (\Deleted)")
        self.other.ok("EXPUNGE")
        told = self.told(self.come_back(known, " 1:4294967295"))
        self.assertEqual(told[b"VANISHED"], [(True, [(5, 5)])])

    def test_a_sequence_from_before_all_that_is_known(self) -> None:
        known = self.first_time()
        known.modseq = 1
        told = self.told(self.come_back(known))
        self.assertEqual(told[b"VANISHED"], [(True, [(1, 1)])])
        self.assertEqual([each[b"UID"] for each in told[b"FETCH"]], [2, 3, 4, 5])

    def test_a_sequence_that_is_not_from_here(self) -> None:
        known = self.first_time()
        known.modseq = 2**63 - 1
        told = self.told(self.come_back(known))
        self.assertEqual(told[b"VANISHED"], [(True, [(1, 1)])])
        self.assertEqual([each[b"UID"] for each in told[b"FETCH"]], [2, 3, 4, 5])

    def test_sequence_match_data_spares_what_is_known(self) -> None:
        self.other.ok(r"UID STORE 4 +FLAGS (\Deleted)")
        self.other.ok("EXPUNGE")  # 2, 3, 5 are left; 1 and 4 are gone
        for match, vanished in (
            ("", [(1, 1), (4, 4)]),
            (" (1 2)", [(4, 4)]),
            (" (1,3 2,4)", [(4, 4)]),
            (" (1:3 2,3,5)", []),
            (" (1,99 9,99)", [(1, 1), (4, 4)]),
            (" (1:4294967295 1:4294967295)", [(1, 1), (4, 4)]),
            (" 1:3 (1 2)", []),
            (" 1:3", [(1, 1)]),
        ):
            known = self.first_time()
            known.modseq = 1
            told = self.told(self.come_back(known, match))[b"VANISHED"]
            self.assertEqual(told, [(True, vanished)] if vanished else [], match)

    def test_many_ranges_come_in_several_lines(self) -> None:
        self.other.ok(r"UID STORE 3,5 +FLAGS (\Deleted)")
        self.other.ok("EXPUNGE")
        known = self.first_time()
        known.modseq = 1
        with patch.object(updates, "PIECE_RANGES", 2):
            told = self.told(self.come_back(known))[b"VANISHED"]
        self.assertEqual(told, [(True, [(1, 1), (3, 3)]), (True, [(5, 5)])])

    def test_uid_fetch_vanished(self) -> None:
        client = qresync(self.server)
        before = Known().hear(client.command("SELECT INBOX")).modseq
        self.other.ok(r"UID STORE 3 +FLAGS (\Deleted)")
        self.other.ok(r"UID STORE 5 +FLAGS (\Flagged)")
        self.other.ok("EXPUNGE")
        client.ok("NOOP")
        told = self.told(
            client.command(f"UID FETCH 1:* FLAGS (CHANGEDSINCE {before} VANISHED)")
        )
        self.assertEqual(told[b"VANISHED"], [(True, [(3, 3)])])
        self.assertEqual([each[b"UID"] for each in told[b"FETCH"]], [5])

    def test_what_the_session_was_not_told_is_no_earlier_one(self) -> None:
        client = qresync(self.server)
        before = Known().hear(client.command("SELECT INBOX")).modseq
        self.other.ok(r"UID STORE 3 +FLAGS (\Deleted)")
        self.other.ok("EXPUNGE")
        told = self.told(
            client.command(f"UID FETCH 1:* UID (CHANGEDSINCE {before} VANISHED)")
        )
        self.assertEqual(told[b"VANISHED"], [(False, [(3, 3)])])

    def test_a_connection_lost_while_an_expunge_is_held_back(self) -> None:
        """§3.2: whatever the client was told, it misses nothing afterwards."""
        client = self.server.login()
        client.ok("ENABLE QRESYNC")
        known = Known().hear(client.command("SELECT INBOX"))
        known.hear(client.command("UID FETCH 1:* FLAGS"))
        self.other.ok(r"UID STORE 4 +FLAGS (\Deleted)")
        self.other.ok("EXPUNGE")
        known.hear(client.command(r"STORE 1 +FLAGS (\Draft)"))
        known.hear(client.command("FETCH 1:2 (UID FLAGS MODSEQ)"))
        client.hang_up()
        self.assertIn(4, known.flags)
        told = self.told(self.come_back(known))
        self.assertEqual(told[b"VANISHED"], [(True, [(4, 4)])])
        self.assertEqual(known.flags, self.truth())

    def test_a_large_message_that_gets_seen_says_it_too(self) -> None:
        self.other.append(b"Subject: large\r\n\r\n" + b"x" * 78 * 40000 + b"\r\n")
        client = qresync(self.server)
        (fetched,) = self.told(client.command("FETCH 5 BODY[]"))[b"FETCH"]
        self.assertIn(rb"\Seen", fetched[b"FLAGS"])
        self.assertEqual(fetched[b"UID"], 6)
        self.assertIn(b"MODSEQ", fetched)

    def test_highestmodseq_grows_with_everything(self) -> None:
        client = qresync(self.server)
        known = Known().hear(client.command("SELECT INBOX"))
        for command in (
            r"STORE 1 +FLAGS (\Flagged)",
            r"STORE 1 -FLAGS.SILENT (\Flagged)",
            r"STORE 1:2 FLAGS (\Deleted)",
            "UID EXPUNGE 2",
            "EXPUNGE",
        ):
            before = known.modseq
            known.hear(client.command(command))
            self.assertGreater(known.modseq, before, command)
        before = known.modseq
        known.hear(client.command(r"STORE 1 -FLAGS (\Flagged)"))  # it is not set
        self.assertEqual(known.modseq, before)

    def test_store_unchangedsince(self) -> None:
        client = qresync(self.server)
        known = Known().hear(client.command("SELECT INBOX"))
        self.other.ok(r"UID STORE 3 +FLAGS (\Answered)")
        responses = client.command(
            rf"UID STORE 2:4 (UNCHANGEDSINCE {known.modseq}) +FLAGS.SILENT (\Draft)"
        )
        last = responses[-1]
        assert isinstance(last, Tagged) and last.code is not None
        self.assertEqual((last.condition, last.code.name), (b"OK", b"MODIFIED"))
        self.assertEqual(last.code.arguments, [(3, 3)])
        told = {each[b"UID"]: each for each in self.told(responses)[b"FETCH"]}
        self.assertEqual(set(told), {2, 3, 4})
        self.assertNotIn(b"FLAGS", told[2])
        self.assertIn(rb"\Answered", told[3][b"FLAGS"])
        self.assertNotIn(rb"\Draft", told[3][b"FLAGS"])
        self.assertTrue(all(b"MODSEQ" in each for each in told.values()))
        newest = told[3][b"MODSEQ"]
        client.ok(rf"UID STORE 3 (UNCHANGEDSINCE {newest}) +FLAGS.SILENT (\Draft)")
        self.assertNotIn(b"MODIFIED", client.raw)
        self.assertIn(rb"\Draft", self.truth()[3])

    def test_store_unchangedsince_of_expunged_messages(self) -> None:
        client = qresync(self.server)
        known = Known().hear(client.command("SELECT INBOX"))
        self.other.ok(r"UID STORE 3 +FLAGS (\Answered)")
        self.other.ok(r"UID STORE 4 +FLAGS (\Deleted)")
        self.other.ok("EXPUNGE")
        client.no(rf"STORE 1:4 (UNCHANGEDSINCE {known.modseq}) +FLAGS (\Draft)")
        self.assertIn(b" NO [MODIFIED 2] ", client.raw)
        self.assertNotIn(b"VANISHED", client.raw)
        client.ok("NOOP")
        self.assertIn(b"VANISHED 4", client.raw)


if __name__ == "__main__":
    unittest.main()
