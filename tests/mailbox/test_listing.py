r"""LIST and LSUB over the three namespaces, as tables.  RFC 3501, 5258, 6154."""

import unittest
from itertools import product

from imapd.ids import INBOX, MailboxPath
from imapd.mailbox.listing import Listed, Tree
from imapd.mailbox.names import NAMESPACES
from imapd.model.mailbox import Folder, NamespaceStyle
from imapd.model.requests import ListMailboxes

PATHS: list[MailboxPath] = [
    INBOX,
    ("Sent",),
    ("work", "2023"),
    ("work", "2024", "q1"),
    ("zoo",),
]
SUBSCRIBED: list[MailboxPath] = [("Sent",), ("work", "2024", "q1"), ("gone", "child")]


def tree(style: NamespaceStyle = NamespaceStyle.SLASH) -> Tree:
    folders = [
        Folder(path, special_use=rb"\Sent" if path == ("Sent",) else None)
        for path in PATHS
    ]
    return Tree(NAMESPACES[style], folders, SUBSCRIBED)


def request(
    *patterns: str,
    reference: str = "",
    selection: str = "",
    returns: str = "",
) -> ListMailboxes:
    return ListMailboxes(
        reference,
        patterns,
        extended=bool(selection or returns),
        selection=frozenset(selection.encode().split()),
        returns=frozenset(returns.encode().split()),
    )


def lines(listed: list[Listed]) -> dict[str, str]:
    """Name: attributes, and CHILDINFO in front."""
    return {
        each.name: b" ".join(
            (*(b"+" + one for one in each.child_info), *each.attributes)
        ).decode()
        for each in listed
    }


HAS, HAS_NO = r"\HasChildren", r"\HasNoChildren"


class ListTests(unittest.TestCase):
    def names(self, style: NamespaceStyle, wanted: ListMailboxes) -> list[str]:
        return list(lines(tree(style).listed(wanted)))

    def test_all_in_each_namespace(self) -> None:
        expected = {
            NamespaceStyle.COURIER: "INBOX INBOX.Sent INBOX.work INBOX.work.2023 "
            "INBOX.work.2024 INBOX.work.2024.q1 INBOX.zoo",
            NamespaceStyle.DOVECOT: "INBOX Sent work work.2023 work.2024 "
            "work.2024.q1 zoo",
            NamespaceStyle.SLASH: "INBOX Sent work work/2023 work/2024 "
            "work/2024/q1 zoo",
        }
        for style, names in expected.items():
            self.assertEqual(self.names(style, request("*")), names.split(), style)

    def test_patterns(self) -> None:
        cases = {
            ("", "%"): "INBOX Sent work zoo",
            ("", "%/%"): "work/2023 work/2024",
            ("work/", "%"): "work/2023 work/2024",
            ("work", "*"): "work work/2023 work/2024 work/2024/q1",
            ("", "w%"): "work",
            ("", "*q1"): "work/2024/q1",
            ("", "inbox"): "INBOX",
            ("in", "BOX"): "INBOX",
            ("", "i%"): "INBOX",
            ("", "SENT"): "",
            ("", "work/"): "",
            ("", ""): "",
        }
        for (reference, pattern), names in cases.items():
            wanted = request(pattern, reference=reference)
            self.assertEqual(
                self.names(NamespaceStyle.SLASH, wanted), names.split(), pattern
            )

    def test_patterns_below_inbox(self) -> None:
        for pattern in ("INBOX.%", "inbox.%", "Inbox.%"):
            self.assertEqual(
                self.names(NamespaceStyle.COURIER, request(pattern)),
                ["INBOX.Sent", "INBOX.work", "INBOX.zoo"],
                pattern,
            )

    def test_attributes(self) -> None:
        self.assertEqual(
            lines(tree().listed(request("%"))),
            {
                "INBOX": HAS_NO,
                "Sent": HAS_NO + r" \Sent",
                "work": r"\Noselect " + HAS,
                "zoo": HAS_NO,
            },
        )
        listed = tree().listed(request("*"))
        self.assertEqual(
            {each.name for each in listed if each.path is None}, {"work", "work/2024"}
        )

    def test_inbox_has_children_where_all_are_its_children(self) -> None:
        listed = lines(tree(NamespaceStyle.COURIER).listed(request("INBOX")))
        self.assertEqual(listed, {"INBOX": HAS})

    def test_several_patterns_name_each_once(self) -> None:
        listed = tree().listed(request("Sent", "*", "zoo", returns="CHILDREN"))
        names = [each.name for each in listed]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(len(names), 7)

    def test_selections(self) -> None:
        cases: dict[tuple[str, str], dict[str, str]] = {
            ("*", "SUBSCRIBED"): {
                "Sent": HAS_NO + r" \Sent \Subscribed",
                "gone/child": r"\NonExistent " + HAS_NO + r" \Subscribed",
                "work/2024/q1": HAS_NO + r" \Subscribed",
            },
            ("%", "SUBSCRIBED"): {"Sent": HAS_NO + r" \Sent \Subscribed"},
            ("*", "SPECIAL-USE"): {"Sent": HAS_NO + r" \Sent"},
            ("*", "SUBSCRIBED SPECIAL-USE"): {"Sent": HAS_NO + r" \Sent \Subscribed"},
            ("*", "REMOTE SPECIAL-USE"): {"Sent": HAS_NO + r" \Sent"},
            # Parents whose children do not match the pattern, and no others.
            ("%", "SUBSCRIBED RECURSIVEMATCH"): {
                "Sent": HAS_NO + r" \Sent \Subscribed",
                "gone": r"+SUBSCRIBED \NonExistent " + HAS_NO,
                "work": r"+SUBSCRIBED \NonExistent " + HAS,
            },
            ("*", "SUBSCRIBED RECURSIVEMATCH"): {
                "Sent": HAS_NO + r" \Sent \Subscribed",
                "gone/child": r"\NonExistent " + HAS_NO + r" \Subscribed",
                "work/2024/q1": HAS_NO + r" \Subscribed",
            },
            ("%", "SUBSCRIBED SPECIAL-USE RECURSIVEMATCH"): {
                "Sent": HAS_NO + r" \Sent \Subscribed"
            },
        }
        for (pattern, selection), expected in cases.items():
            listed = tree().listed(request(pattern, selection=selection))
            self.assertEqual(lines(listed), expected, (pattern, selection))

    def test_children_are_told_by_what_selects_them(self) -> None:
        """RFC 5258 §3.5: CHILDINFO is the criteria, RFC 6154 has one more of them."""
        folders = [Folder(("work", "out"), special_use=rb"\Sent")]
        one = Tree(NAMESPACES[NamespaceStyle.SLASH], folders, [("work", "out")])
        for selection, told in {
            "SPECIAL-USE RECURSIVEMATCH": "+SPECIAL-USE",
            "SUBSCRIBED RECURSIVEMATCH": "+SUBSCRIBED",
            "SUBSCRIBED REMOTE RECURSIVEMATCH": "+SUBSCRIBED",
            "SUBSCRIBED SPECIAL-USE RECURSIVEMATCH": "+SUBSCRIBED +SPECIAL-USE",
        }.items():
            listed = lines(one.listed(request("%", selection=selection)))
            expected = {"work": rf"{told} \NonExistent {HAS}"}
            self.assertEqual(listed, expected, selection)

    def test_return_subscribed_selects_nothing(self) -> None:
        plain = tree().listed(request("*"))
        listed = tree().listed(request("*", returns="SUBSCRIBED"))
        self.assertEqual([each.name for each in listed], [each.name for each in plain])
        self.assertEqual(
            [name for name, text in lines(listed).items() if "Subscribed" in text],
            ["Sent", "work/2024/q1"],
        )

    def test_a_subscribed_parent_with_subscribed_children(self) -> None:
        subscribed: list[MailboxPath] = [("work",), ("work", "2023")]
        one = Tree(NAMESPACES[NamespaceStyle.SLASH], map(Folder, PATHS), subscribed)
        listed = one.listed(request("*", selection="SUBSCRIBED RECURSIVEMATCH"))
        self.assertEqual(
            lines(listed),
            {
                "work": r"+SUBSCRIBED \NonExistent " + HAS + r" \Subscribed",
                "work/2023": HAS_NO + r" \Subscribed",
            },
        )


class LsubTests(unittest.TestCase):
    def test_patterns(self) -> None:
        noselect = r"\Noselect"
        cases = {
            "*": {"Sent": "", "gone/child": "", "work/2024/q1": ""},
            "%": {"Sent": "", "gone": noselect, "work": noselect},
            "work/%": {"work/2024": noselect},
            "work/*": {"work/2024/q1": ""},
            "gone/child": {"gone/child": ""},
            "x": {},
        }
        for pattern, expected in cases.items():
            self.assertEqual(
                lines(tree().subscriptions(request(pattern))), expected, pattern
            )


class SoundnessTests(unittest.TestCase):
    def test_whatever_is_asked_is_answered_once_and_sorted(self) -> None:
        selections = (
            "",
            "SUBSCRIBED",
            "SPECIAL-USE",
            "SUBSCRIBED RECURSIVEMATCH",
            "SUBSCRIBED SPECIAL-USE RECURSIVEMATCH",
        )
        patterns = ("*", "%", "%/%", "*%", "w*", "INBOX*", "*/*")
        for style, selection, pattern in product(NamespaceStyle, selections, patterns):
            listed = tree(style).listed(request(pattern, selection=selection))
            names = [each.name for each in listed]
            where = (style, selection, pattern)
            self.assertEqual(len(names), len(set(names)), where)
            rest = names[1:] if names[:1] == ["INBOX"] else names
            self.assertEqual(rest, sorted(rest), where)
            for each in listed:
                text = b" ".join(each.attributes)
                self.assertNotEqual(
                    rb"\HasChildren" in text, rb"\HasNoChildren" in text, where
                )
                self.assertEqual(each.path is None, b"\\No" in text, where)
                if each.child_info:
                    self.assertIn("RECURSIVEMATCH", selection)
