import base64
import hmac
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.mail.interfaces import IChallengeResponse
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from imapd.auth import md5state, sasl
from imapd.auth.avatar import AvatarId, avatar_id
from imapd.auth.names import user_name
from imapd.auth.refusals import REASONS, IdentityRefused, LoginRefused
from imapd.errors import SyntaxRejected

PLAIN_CASES: dict[str, tuple[bytes, tuple[bytes, bytes] | str]] = {
    "usual": (b"\0alice\0pw", (b"alice", b"pw")),
    "authzid the same": (b"a@b.c\0a@b.c\0pw", (b"a@b.c", b"pw")),
    "password in UTF-8": ("\0a\0pä".encode(), (b"a", "pä".encode())),
    "authzid another": (b"root\0alice\0pw", "identity"),
    "one NUL": (b"alice\0pw", "bad-response"),
    "three NULs": (b"\0alice\0pw\0", "bad-response"),
    "nothing": (b"", "bad-response"),
    "no name": (b"\0\0pw", "bad-response"),
    "no password": (b"\0alice\0", "bad-response"),
    "name not UTF-8": (b"\0al\xffice\0pw", "bad-response"),
    "password not UTF-8": (b"\0alice\0p\xff", "bad-response"),
    "password too long": (b"\0alice\0" + b"p" * 1025, "bad-response"),
    "path": (b"\0../root\0pw", "bad-name"),
}

BASE64_CASES: dict[str, tuple[bytes, bytes | None]] = {
    "usual": (b"AGE=", b"\0a"),
    "empty": (b"", b""),
    "no padding": (b"AGE", None),
    "too much padding": (b"AGE==", None),
    "padding bits": (b"AGF=", None),
    "space": (b"AG E=", None),
    "line end": (b"AGE=\r\n", None),
    "octets after the end": (b"AGE=AGE=", None),
    "URL alphabet": (b"_-8=", None),
    "8 bit": (b"AG\xff=", None),
    "only =": (b"=", None),
}

BAD_NAMES = (
    b"",
    b"x" * 129,
    b".",
    b"..",
    b"../x",
    b"x/../y",
    b"a..b",
    b".hidden",
    b"-rf",
    b"a/b",
    b"a\\b",
    b"a\0b",
    b"a\r\nb",
    b"a\nb",
    b"a\n",
    b"a b",
    b"%d",
    b"%{user}",
    b"{user}",
    b"~root",
    b"a@b@c",
    b"@b",
    b"a@",
    b"a@.b",
    b"a@-b",
    b"a@..",
    "ä".encode(),
    "ᴀlice".encode(),
    b"a\xc2\x85b",
    b"\xff",
)
GOOD_NAMES = (b"a", b"alice@example.org", b"A.b-c_d+tag@x-y.z", b"x" * 128, b"+", b"1")


class PlainTests(SynchronousTestCase):
    def test_messages(self) -> None:
        for name, (response, expected) in PLAIN_CASES.items():
            mechanism = sasl.Plain()
            if isinstance(expected, str):
                error = self.assertRaises(
                    (LoginRefused, IdentityRefused), mechanism.setResponse, response
                )
                self.assertEqual(error.reason, expected, name)
                self.assertIn(error.reason, REASONS, name)
                self.assertEqual(mechanism.password, b"", name)
            else:
                mechanism.setResponse(response)
                got = (mechanism.username, mechanism.password)
                self.assertEqual(got, expected, name)

    def test_check_password(self) -> None:
        mechanism = sasl.Plain()
        self.assertFalse(mechanism.checkPassword(b""))
        mechanism.setResponse(b"\0a\0pw")
        self.assertTrue(mechanism.checkPassword(b"pw"))
        self.assertFalse(mechanism.checkPassword(b"pW"))
        self.assertNotIn("pw", repr(mechanism))


class LoginTests(SynchronousTestCase):
    def test_command(self) -> None:
        credentials = sasl.login_credentials(b"alice", b"pw")
        self.assertEqual(
            (credentials.username, credentials.password), (b"alice", b"pw")
        )
        for name, password in ((b"a b", b"x"), (b"a", b"x\0"), (b"a", b"x" * 2000)):
            self.assertRaises(LoginRefused, sasl.login_credentials, name, password)

    def test_two_prompts(self) -> None:
        mechanism = sasl.LoginMechanism()
        self.assertEqual(mechanism.getChallenge(), b"Username:")
        mechanism.setResponse(b"alice")
        self.assertTrue(mechanism.moreChallenges())
        self.assertEqual(mechanism.getChallenge(), b"Password:")
        mechanism.setResponse(b"pw")
        self.assertFalse(mechanism.moreChallenges())
        self.assertEqual((mechanism.username, mechanism.password), (b"alice", b"pw"))

    def test_bad_name_ends_it(self) -> None:
        self.assertRaises(LoginRefused, sasl.LoginMechanism().setResponse, b"a b")


class CramTests(SynchronousTestCase):
    # Hardening: A06.

    def answer(self, mechanism: sasl.CramMd5, password: bytes) -> None:
        digest = hmac.digest(password, mechanism.getChallenge(), "md5").hex()
        mechanism.setResponse(b"alice " + digest.encode())

    def test_rfc_2195(self) -> None:
        mechanism = sasl.CramMd5()
        mechanism._challenge = b"<1896.697170952@postoffice.reston.mci.net>"
        mechanism.setResponse(b"tim b913a602c7eda7a495b4e6e7334d3890")
        self.assertEqual(mechanism.username, b"tim")
        self.assertTrue(mechanism.checkPassword(b"tanstaaftanstaaf"))
        self.assertFalse(mechanism.checkPassword(b"tanstaaftanstaag"))
        contexts = md5state.contexts(b"tanstaaftanstaaf")
        self.assertTrue(mechanism.check_contexts(contexts))
        self.assertFalse(mechanism.check_contexts(contexts[::-1]))

    def test_challenge(self) -> None:
        mechanism = sasl.CramMd5(b"mail.example.org")
        challenge = mechanism.getChallenge()
        self.assertTrue(
            re.fullmatch(rb"<[0-9a-f]{32}\.[0-9]+@mail\.example\.org>", challenge)
        )
        self.assertEqual(challenge, mechanism.getChallenge())
        many = {sasl.CramMd5().getChallenge() for _ in range(1000)}
        self.assertEqual(len(many), 1000)

    def test_empty_password_never_fits(self) -> None:
        mechanism = sasl.CramMd5()
        self.answer(mechanism, b"")
        self.assertFalse(mechanism.checkPassword(b""))

    def test_nonsense(self) -> None:
        for response in (
            b"",
            b"alice",
            b"alice ",
            b"alice " + b"0" * 31,
            b"alice " + b"A" * 32,
            b" " + b"0" * 32,
            b"a b " + b"0" * 32,
            b"\xff " + b"0" * 32,
        ):
            mechanism = sasl.CramMd5()
            error = self.assertRaises(LoginRefused, mechanism.setResponse, response)
            self.assertIn(error.reason, ("bad-response", "bad-name"), repr(response))


class TableTests(SynchronousTestCase):
    def test_each_row(self) -> None:
        self.assertEqual(len(sasl.MECHANISMS), 3)
        for row in sasl.MECHANISMS:
            name = row.name.decode()
            mechanism = row.factory(b"host")
            self.assertTrue(verifyObject(IChallengeResponse, mechanism), name)
            self.assertTrue(verifyObject(row.interface, mechanism), name)
            hashed = row.interface is IUsernameHashedPassword
            self.assertNotEqual(row.cleartext, hashed, name)
            self.assertTrue(mechanism.moreChallenges(), name)
            self.assertIs(row.client_first, row.name != b"CRAM-MD5", name)

    def test_steps_are_bounded(self) -> None:
        # Hardening: P06.
        responses = {
            b"PLAIN": [b"\0a\0b"],
            b"LOGIN": [b"a", b"b"],
            b"CRAM-MD5": [b"a " + b"0" * 32],
        }
        for row in sasl.MECHANISMS:
            mechanism = row.factory(b"host")
            for response in responses[row.name]:
                self.assertTrue(mechanism.moreChallenges(), row.name)
                mechanism.setResponse(response)
            self.assertFalse(mechanism.moreChallenges(), row.name)
            self.assertRaises(LoginRefused, mechanism.setResponse, b"more")

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.binary(max_size=80), max_size=4), st.sampled_from([0, 1, 2]))
    def test_any_response_is_taken_or_refused(
        self, responses: list[bytes], row: int
    ) -> None:
        # Hardening: P06.
        mechanism = sasl.MECHANISMS[row].factory(b"host")
        for response in responses:
            mechanism.getChallenge()
            try:
                mechanism.setResponse(response)
            except (LoginRefused, IdentityRefused) as refused:
                self.assertNotIn(repr(response), f"{refused}" or "x")
                break


class Base64Tests(SynchronousTestCase):
    # Hardening: P06.

    def test_strict(self) -> None:
        for name, (line, expected) in BASE64_CASES.items():
            if expected is None:
                self.assertRaises(SyntaxRejected, sasl.decode_base64, line)
            else:
                self.assertEqual(sasl.decode_base64(line), expected, name)

    @given(st.binary(max_size=200))
    def test_one_form_each(self, line: bytes) -> None:
        self.assertEqual(sasl.decode_base64(sasl.encode_base64(line)), line)
        try:
            octets = sasl.decode_base64(line)
        except SyntaxRejected:
            return
        self.assertEqual(base64.b64encode(octets), line)

    def test_initial_response(self) -> None:
        self.assertEqual(sasl.initial_response(b"="), b"")
        self.assertEqual(sasl.initial_response(b"AGE="), b"\0a")
        self.assertRaises(SyntaxRejected, sasl.initial_response, b"==")


class NameTests(SynchronousTestCase):
    def test_names(self) -> None:
        # Hardening: P07.
        for name in GOOD_NAMES:
            self.assertEqual(user_name(name), name)
        for name in BAD_NAMES:
            error = self.assertRaises(LoginRefused, user_name, name)
            self.assertEqual(error.reason, "bad-name", repr(name))

    @settings(max_examples=500)
    @given(st.binary(max_size=140))
    def test_no_name_leads_out(self, octets: bytes) -> None:
        # Hardening: F02.
        try:
            name = user_name(octets).decode("ascii")
        except LoginRefused:
            return
        for part in name.split("@"):
            self.assertTrue(part and part[0] not in ".-" and "/" not in part, name)

    def test_avatar_id(self) -> None:
        for value in (b"alice", "alice", AvatarId(b"alice", home="/h", uid=7)):
            self.assertEqual(avatar_id(value), b"alice")
            self.assertIsInstance(avatar_id(value), AvatarId)
        kept = avatar_id(AvatarId(b"alice", home="/h", uid=7))
        self.assertEqual(
            (kept.home, kept.mail, kept.uid, kept.gid), ("/h", None, 7, None)
        )
        bad: object
        for bad in ((), None, "../x", b"", "ä", "\ud800"):
            self.assertRaises(LoginRefused, avatar_id, bad)

    def test_interfaces(self) -> None:
        self.assertTrue(IUsernamePassword.providedBy(sasl.Plain()))
        self.assertFalse(IUsernamePassword.providedBy(sasl.CramMd5()))
