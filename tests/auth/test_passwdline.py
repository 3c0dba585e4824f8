from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imapd.auth.passwdfile import parse_users
from imapd.auth.passwdline import LineError, parse_line

BAD_LINES = {
    "unknown scheme": (b"a:{NOPE}x", "unknown password scheme"),
    "clear text": (b"a:secret", "PLAIN"),
    "not UTF-8": (b"a:{PLAIN}\xff", "UTF-8"),
    "NUL": (b"a:{PLAIN}x\0", "NUL"),
    "too long": (b"a:{PLAIN}" + b"x" * 9000, "longer"),
    "name": (b"../a:{PLAIN}x", "user name"),
    "uid": (b"a:{PLAIN}x:no-such-user-here", "uid"),
    "gid": (b"a:{PLAIN}x::99999999999", "gid"),
    "networks": (b"a:{PLAIN}x::::::allow_nets=300.0.0.1", "network"),
    "nopassword and one": (b"a:{PLAIN}x::::::nopassword", "beside"),
    "variable": (b"a:{PLAIN}x::::::userdb_mail=maildir:%Q", "variable"),
    "user=": (b"a:{PLAIN}x::::::user=../b", "user="),
}


class LineTests(SynchronousTestCase):
    def test_bad_lines(self) -> None:
        for name, (line, text) in BAD_LINES.items():
            error = self.assertRaises(LineError, parse_line, line)
            self.assertIn(text, str(error), name)

    def test_they_fail_only_themselves(self) -> None:
        for name, (line, _) in BAD_LINES.items():
            users = parse_users(b"x:{PLAIN}x\r\n" + line + b"\r\ny:{PLAIN}y")
            self.assertEqual(sorted(users.records), ["x", "y"], name)
            self.assertEqual([number for number, _ in users.problems], [2], name)

    def test_old_form_and_colons(self) -> None:
        old = parse_line(b"a@b:{PLAIN}x:::::::maildir:/m/%d/%n:INBOX=/i")
        self.assertEqual(old.mail, "maildir:/m/b/a:INBOX=/i")
        new = parse_line(
            b"a:{PLAIN}x::::/h::userdb_home=/%u/%% userdb_mail=mbox:%h:X=1"
        )
        self.assertEqual((new.home, new.mail), ("/a/%", "mbox:/h:X=1"))

    def test_values_are_not_expanded_again(self) -> None:
        # Hardening: F02.
        record = parse_line(b"a:{PLAIN}x::::/%u::mail=%h")
        self.assertEqual((record.home, record.mail), ("/%u", "/%u"))

    def test_flags_can_be_off(self) -> None:
        self.assertFalse(parse_line(b"a:{PLAIN}x::::::nologin=no proxy=n").disabled)

    def test_the_first_of_two_counts(self) -> None:
        users = parse_users(b"a:{PLAIN}x\nA:{PLAIN}y\n")
        self.assertEqual(users.records["a"].password, "{PLAIN}x")
        self.assertEqual(len(users.problems), 1)

    def test_unsupported_fields_are_told(self) -> None:
        users = parse_users(b"a:{PLAIN}x::::::delay_until=1 userdb_quota_rule=*:b=1\n")
        self.assertEqual(
            users.problems, ((1, "the extra field delay_until is not followed"),)
        )

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=200))
    def test_any_file_is_read(self, octets: bytes) -> None:
        self.assertIn("x", parse_users(octets + b"\nx:{PLAIN}x\n").records)

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.text("a:{}$=%/,. 1y\n\x85", max_size=12), max_size=10))
    def test_any_line_is_read(self, fields: list[str]) -> None:
        line = ":".join(fields).encode()
        users = parse_users(b"zz:{PLAIN}x::::::" + line + b"\n" + line)
        for number, _ in users.problems:
            self.assertGreater(number, 0)

    def test_many_lines_in_time(self) -> None:
        row = "user{0}@a.org:{{SHA}}EfatjsUqKYSrqv18O1FlA3hcIHI=:1000:1000::/m/{0}::"
        octets = "\n".join(row.format(number) for number in range(5000)).encode()
        self.assertEqual(len(parse_users(octets).records), 5000)
