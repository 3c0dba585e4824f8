"""A login name never leads outside the fixed part of a template."""

import unittest
from pathlib import Path, PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from imapd.errors import ImapError
from imapd.service.templates import MailTemplate, NoMailLocation

GOOD = {
    "both": ("/m/{domain}/{local}/Maildir", b"al@ex.org", "/m/ex.org/al/Maildir"),
    "user": ("/m/{user}", b"al@ex.org", "/m/al@ex.org"),
    "no domain": ("/m/{user}", b"al", "/m/al"),
    "local of no domain": ("/m/{local}", b"al", "/m/al"),
    "last at sign": ("/m/{domain}/{local}", b"a@b@c", "/m/c/a@b"),
    "one component": ("/m/{local}@{domain}", b"al@ex.org", "/m/al@ex.org"),
    "around": ("/m/x-{user}.d", b"al", "/m/x-al.d"),
    "slashes": ("//m//./{user}/", b"al", "/m/al"),
    "home": ("~/Maildir", b"al", "/home/al/Maildir"),
    "home itself": ("~", b"al", "/home/al"),
    "not a template again": ("/m/{user}", b"{local}", "/m/{local}"),
    "percent": ("/m/{user}", b"%u", "/m/%u"),
    "UTF-8": ("/m/{user}", "jörg".encode(), "/m/jörg"),
}
BAD_TEMPLATES = {
    "empty": ("", "begin"),
    "relative": ("mail/{user}", "begin"),
    "other home": ("~al/{user}", "begin"),
    "same for all": ("/var/mail", "same folder"),
    "same for a domain": ("/m/{domain}", "of a domain"),
    "unknown": ("/m/{usr}", "{usr} is not known"),
    "no name": ("/m/{}", "not known"),
    "open brace": ("/m/{user", "unbalanced"),
    "closing brace": ("/m/user}/{user}", "unbalanced"),
    "nested": ("/m/{{user}}", "unbalanced"),
    "parent": ("/m/../{user}", ".."),
    "NUL": ("/m/\0/{user}", "NUL"),
    "shared by two": ("/m/{local}-{domain}", "share"),
    "shared by two, swapped": ("/m/{domain}@{local}", "share"),
    "shared, more": ("/m/{local}@{domain}@{user}", "share"),
    "folded over slash": ("/m/{us/er}", "unbalanced"),
}
BAD_USERS = {
    "parent": ("/m/{user}", b".."),
    "parent domain": ("/m/{domain}/{local}", b"x@.."),
    "here": ("/m/{local}", b".@x"),
    "empty": ("/m/{user}", b""),
    "empty local": ("/m/{domain}/{local}", b"@x"),
    "no domain": ("/m/{domain}/{local}", b"x"),
    "empty domain": ("/m/{domain}/{local}", b"x@"),
    "slash": ("/m/{user}", b"../../etc"),
    "absolute": ("/m/{user}", b"/etc"),
    "NUL": ("/m/{user}", b"a\0b"),
    "latin-1": ("/m/{user}", b"j\xf6rg"),
    "long": ("/m/{user}", b"a" * 256),
    "made up of both": ("/m/{user}.", b"."),
}


class TemplateTests(unittest.TestCase):
    # Hardening: F02.

    def test_good(self) -> None:
        for name, (template, user, expected) in GOOD.items():
            got = MailTemplate(template).path(user, "/home/al")
            self.assertEqual(got, Path(expected), name)

    def test_bad_templates(self) -> None:
        for name, (template, words) in BAD_TEMPLATES.items():
            with self.assertRaises(ValueError, msg=name) as caught:
                MailTemplate(template)
            self.assertIn(words, str(caught.exception), name)

    def test_bad_users(self) -> None:
        for name, (template, user) in BAD_USERS.items():
            with self.assertRaises(NoMailLocation, msg=name):
                MailTemplate(template).path(user)

    def test_bad_homes(self) -> None:
        for home in (None, "", "home/al", "/home/../root", "/a\0b"):
            with self.assertRaises(NoMailLocation, msg=repr(home)):
                MailTemplate("~/Maildir").path(b"al", home)

    def test_the_client_learns_no_path(self) -> None:
        with self.assertRaises(ImapError) as caught:
            MailTemplate("/secret/{user}").path(b"..")
        self.assertNotIn("secret", str(caught.exception))

    @given(
        st.sampled_from(
            ["/m/a/{domain}/{local}/M", "/m/a/{user}", "/m/a/{local}@{domain}"]
        ),
        st.text(st.sampled_from("./@ab~%{}\\\0localdmin"), max_size=12)
        | st.text(max_size=6),
    )
    def test_containment(self, template: str, name: str) -> None:
        user = name.encode("utf-8", "surrogatepass")
        try:
            path = MailTemplate(template).path(user)
        except NoMailLocation:
            return
        parts = PurePosixPath(template).parts
        self.assertEqual(len(path.parts), len(parts))
        self.assertEqual(path.parts[:3], ("/", "m", "a"))
        self.assertFalse({"", ".", ".."} & set(path.parts))

    @given(st.lists(st.text(st.sampled_from("ab@-."), max_size=6), max_size=8))
    def test_two_users_never_share(self, names: list[str]) -> None:
        # Hardening: A15.
        for text in ("/m/{domain}/{local}/M", "/m/{user}", "/m/{local}@{domain}"):
            found: dict[Path, str] = {}
            for name in names:
                try:
                    path = MailTemplate(text).path(name.encode())
                except NoMailLocation:
                    continue
                self.assertEqual(found.setdefault(path, name), name, text)
