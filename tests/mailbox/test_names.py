"""Mailbox names in the three namespaces."""

import unittest

from hypothesis import given
from hypothesis import strategies as st

from imapd.errors import Cannot
from imapd.ids import INBOX, MailboxPath
from imapd.mailbox.names import NAMESPACES
from imapd.model.mailbox import NamespaceStyle

COURIER = NAMESPACES[NamespaceStyle.COURIER]
DOVECOT = NAMESPACES[NamespaceStyle.DOVECOT]
SLASH = NAMESPACES[NamespaceStyle.SLASH]

#: style, what the client writes, the path (None: refused)
CASES: list[tuple[NamespaceStyle, str, MailboxPath | None]] = [
    (NamespaceStyle.COURIER, "INBOX", INBOX),
    (NamespaceStyle.COURIER, "inBox", INBOX),
    (NamespaceStyle.COURIER, "INBOX.", INBOX),
    (NamespaceStyle.COURIER, "inbox.Sent", ("Sent",)),
    (NamespaceStyle.COURIER, "INBOX.a.b.", ("a", "b")),
    (NamespaceStyle.COURIER, "INBOX.INBOX", ("INBOX",)),
    (NamespaceStyle.COURIER, "Sent", None),
    (NamespaceStyle.COURIER, "", None),
    (NamespaceStyle.COURIER, "INBOX..a", None),
    (NamespaceStyle.COURIER, "INBOXES", None),
    (NamespaceStyle.DOVECOT, "Inbox", INBOX),
    (NamespaceStyle.DOVECOT, "inbox.", INBOX),
    (NamespaceStyle.DOVECOT, "inbox.a", ("INBOX", "a")),
    (NamespaceStyle.DOVECOT, "a.b", ("a", "b")),
    (NamespaceStyle.DOVECOT, "a/b", ("a/b",)),
    (NamespaceStyle.DOVECOT, "", None),
    (NamespaceStyle.DOVECOT, ".", None),
    (NamespaceStyle.DOVECOT, ".a", None),
    (NamespaceStyle.DOVECOT, "a..", None),
    (NamespaceStyle.SLASH, "inbox/", INBOX),
    (NamespaceStyle.SLASH, "INBOX.a", ("INBOX.a",)),
    (NamespaceStyle.SLASH, "Entwürfe/2024", ("Entwürfe", "2024")),
    (NamespaceStyle.SLASH, "a//b", None),
    (NamespaceStyle.SLASH, "/", None),
    (NamespaceStyle.SLASH, "", None),
]


class NameTests(unittest.TestCase):
    def test_cases(self) -> None:
        for style, name, path in CASES:
            with self.subTest(f"{style.value} {name!r}"):
                if path is None:
                    self.assertRaises(Cannot, NAMESPACES[style].path, name)
                else:
                    self.assertEqual(NAMESPACES[style].path(name), path)

    @given(
        st.sampled_from(NamespaceStyle),
        st.lists(st.text("aBé &%*~", min_size=1, max_size=4), min_size=1, max_size=4),
    )
    def test_what_is_listed_can_be_opened(
        self, style: NamespaceStyle, components: list[str]
    ) -> None:
        namespace, path = NAMESPACES[style], tuple(components)
        self.assertEqual(namespace.path(namespace.name(path)), path)
        self.assertEqual(namespace.path(namespace.name(INBOX)), INBOX)

    @given(st.sampled_from(NamespaceStyle), st.text("INBOXinbox./a", max_size=12))
    def test_a_name_has_one_spelling(self, style: NamespaceStyle, name: str) -> None:
        # Hardening: F08.
        namespace = NAMESPACES[style]
        try:
            path = namespace.path(name)
        except Cannot:
            return
        self.assertEqual(namespace.path(namespace.name(path)), path)
