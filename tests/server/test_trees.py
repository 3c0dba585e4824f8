"""Parents, subscriptions, uses, and how LIST tells them.

RFC 3501 §6.3, RFC 3348, RFC 5258, RFC 5819, RFC 6154.
"""

from imapd.limits import Limits
from imapd.model.mailbox import NamespaceStyle
from imapd.store.maildir.account import StoreOptions
from tests.support.names import MESSAGE, NameCase, Names, answers, status, upper


class TreeTests(NameCase):
    def test_missing_parents(self) -> None:
        for names in self.styles():
            client, name = names.client, names.name
            client.ok(f"CREATE {names.quoted('a', 'b', 'c')}")
            parent = {rb"\NOSELECT", rb"\HASCHILDREN"}
            patterns: dict[str, dict[tuple[str, ...], set[bytes]]] = {
                "*": {
                    ("a",): parent,
                    ("a", "b"): parent,
                    ("a", "b", "c"): {rb"\HASNOCHILDREN"},
                },
                "%": {("a",): parent},
            }
            for pattern, found in patterns.items():
                seen = names.listed(f'LIST "{names.prefix}" {pattern}')
                seen.pop("INBOX", None)
                wanted = {name(*path): attributes for path, attributes in found.items()}
                self.assertEqual(upper(seen), wanted, (names.style, pattern))
            seen = names.listed(f'LIST () "" {names.quoted("a")}')
            gone = {rb"\NONEXISTENT", rb"\HASCHILDREN"}
            self.assertEqual(upper(seen), {name("a"): gone}, names.style)
            for command in ("SELECT {}", "EXAMINE {}", "STATUS {} (MESSAGES)"):
                answer = client.no(command.format(names.quoted("a")))
                self.assertIn(b"[NONEXISTENT]", answer, names.style)
            self.assertIn(b"[HASCHILDREN]", client.no(f"DELETE {names.quoted('a')}"))
            client.ok(f"CREATE {names.quoted('a')}")
            self.assertEqual(
                upper(names.listed(f'LIST "" {names.quoted("a")}')),
                {name("a"): {rb"\HASCHILDREN"}},
            )
            client.append(MESSAGE, names.quoted("a"))
            client.ok(f"DELETE {names.quoted('a')}")
            self.assertIn(name("a", "b", "c"), names.folders(), names.style)
            self.assertIn(b"[HASCHILDREN]", client.no(f"DELETE {names.quoted('a')}"))
            client.ok(f"DELETE {names.quoted('a', 'b', 'c')}")
            self.assertEqual(names.folders(), set(), names.style)
            self.assertIn(b"[NONEXISTENT]", client.no(f"DELETE {names.quoted('a')}"))

    def test_made_again_under_a_greater_uid_validity(self) -> None:
        for names in self.styles():
            client, quoted = names.client, names.quoted("x")
            last = 0
            for _ in range(3):
                client.ok(f"CREATE {quoted}")
                client.append(MESSAGE, quoted)
                now = status(client, quoted, "UIDVALIDITY")[b"UIDVALIDITY"]
                self.assertGreater(now, last, names.style)
                last = now
                client.ok(f"DELETE {quoted}")

    def test_rename_a_tree(self) -> None:
        # Hardening: D16.
        for names in self.styles():
            client, name, quoted = names.client, names.name, names.quoted
            for path in (("a",), ("a", "b"), ("a", "c", "d"), ("ab",)):
                client.ok(f"CREATE {quoted(*path)}")
                client.ok(f"SUBSCRIBE {quoted(*path)}")
            client.append(MESSAGE, quoted("a", "b"))
            before = status(client, quoted("a", "b"), "UIDVALIDITY UIDNEXT MESSAGES")
            self.assertIn(
                b"[CANNOT]", client.no(f"RENAME {quoted('a')} {quoted('a', 'z')}")
            )
            self.assertIn(
                b"[ALREADYEXISTS]", client.no(f"RENAME {quoted('a')} {quoted('ab')}")
            )
            self.assertIn(
                b"[ALREADYEXISTS]", client.no(f"RENAME {quoted('a')} {quoted('a')}")
            )
            self.assertIn(b"[ALREADYEXISTS]", client.no(f"RENAME {quoted('a')} inbox"))
            self.assertIn(
                b"[NONEXISTENT]", client.no(f"RENAME {quoted('no')} {quoted('n')}")
            )
            client.ok(f"RENAME {quoted('a')} {quoted('n', 'm')}")
            moved = {name("n"), name("n", "m"), name("n", "m", "b")}
            moved |= {name("n", "m", "c"), name("n", "m", "c", "d"), name("ab")}
            self.assertEqual(names.folders(), moved, names.style)
            after = status(
                client, quoted("n", "m", "b"), "UIDVALIDITY UIDNEXT MESSAGES"
            )
            self.assertEqual(after, before, names.style)
            # Only a parent, too.
            client.ok(f"RENAME {quoted('n', 'm', 'c')} {quoted('k')}")
            self.assertIn(name("k", "d"), names.folders(), names.style)
            # RFC 3501 says nothing of subscriptions: they are the client's.
            subscribed = {name("a"), name("a", "b"), name("a", "c", "d"), name("ab")}
            self.assertEqual(set(names.listed('LSUB "" *')), subscribed, names.style)

    def test_rename_what_is_selected(self) -> None:
        for names in self.styles():
            client, other = names.client, names.server.login()
            client.ok(f"CREATE {names.quoted('a', 'b')}")
            client.ok(f"SELECT {names.quoted('a', 'b')}")
            other.ok(f"SELECT {names.quoted('a', 'b')}")
            answer = client.ok(f"RENAME {names.quoted('a')} {names.quoted('c')}")
            self.assertIn(b"[CLOSED]", answer, names.style)
            client.bad("FETCH 1 FLAGS")
            other.command("NOOP")
            self.assertIn(b"* BYE", other.raw, names.style)

    def test_rename_inbox(self) -> None:
        for names in self.styles():
            client = names.client
            client.append(
                MESSAGE, flags=r"(\Seen $Work)", date='"01-Feb-2003 04:05:06 +0000"'
            )
            client.ok(f"CREATE INBOX{names.separator}below")
            before = status(client, "INBOX", "UIDVALIDITY UIDNEXT")
            client.ok(f"RENAME inbox {names.quoted('old')}")
            after = status(client, "INBOX", "UIDVALIDITY UIDNEXT MESSAGES")
            self.assertEqual(after, before | {b"MESSAGES": 0}, names.style)
            # What lies below INBOX stays: RFC 3501 §6.3.5.
            self.assertIn(f"INBOX{names.separator}below", names.folders())
            client.ok(f"SELECT {names.quoted('old')}")
            answer = client.ok("FETCH 1 (FLAGS INTERNALDATE)")
            self.assertIn(b"$Work", answer)
            self.assertIn(b'" 1-Feb-2003 04:05:06 +0000"', answer)
            self.assertIn(
                b"[ALREADYEXISTS]", client.no(f"RENAME INBOX {names.quoted('old')}")
            )

    def test_subscriptions_to_what_is_not_there(self) -> None:
        for names in self.styles():
            client, name = names.client, names.name
            client.ok(f"SUBSCRIBE {names.quoted('gone', 'child')}")
            client.ok("SUBSCRIBE inbox")
            client.ok("SUBSCRIBE INBOX")
            self.assertEqual(
                set(names.listed('LSUB "" *')), {"INBOX", name("gone", "child")}
            )
            parents = names.listed(f'LSUB "{names.prefix}" %')
            parents.pop("INBOX", None)
            self.assertEqual(
                upper(parents), {name("gone"): {rb"\NOSELECT"}}, names.style
            )
            client.ok(f"CREATE {names.quoted('x')}")
            client.ok(f"SUBSCRIBE {names.quoted('x')}")
            client.ok(f"DELETE {names.quoted('x')}")  # stays subscribed: §6.3.6
            self.assertIn(name("x"), names.listed('LSUB "" *'))
            found = names.listed('LIST (SUBSCRIBED) "" *')
            wanted = {rb"\NONEXISTENT", rb"\HASNOCHILDREN", rb"\SUBSCRIBED"}
            self.assertEqual(upper(found)[name("x")], wanted, names.style)
            client.ok(f"UNSUBSCRIBE {names.quoted('never')}")
            client.ok(f"UNSUBSCRIBE {names.quoted('x')}")
            self.assertNotIn(name("x"), names.listed('LSUB "" *'))


class ExtendedListTests(NameCase):
    def test_recursive_match(self) -> None:
        for names in self.styles():
            name = names.name
            names.client.ok(f"CREATE {names.quoted('foo')}")
            names.client.ok(f"SUBSCRIBE {names.quoted('foo', 'bar')}")
            names.client.ok(f"SUBSCRIBE {names.quoted('baz', 'deep', 'er')}")
            names.client.ok(f"SUBSCRIBE {names.quoted('flat')}")
            found = names.listed(f'LIST (SUBSCRIBED RECURSIVEMATCH) "{names.prefix}" %')
            found.pop("INBOX", None)
            self.assertEqual(
                {name: info for name, (_, info) in found.items()},
                {
                    name("foo"): (b"SUBSCRIBED",),
                    name("baz"): (b"SUBSCRIBED",),
                    name("flat"): None,
                },
                names.style,
            )
            attributes = upper(found)
            self.assertNotIn(rb"\SUBSCRIBED", attributes[name("foo")])
            self.assertIn(rb"\NONEXISTENT", attributes[name("baz")])
            self.assertIn(rb"\SUBSCRIBED", attributes[name("flat")])
            self.assertNotIn(name("foo"), names.listed('LIST (SUBSCRIBED) "" *'))
            names.client.bad('LIST (RECURSIVEMATCH) "" *')
            names.client.bad('LIST (REMOTE RECURSIVEMATCH) "" *')
            names.client.bad('LIST (NOSUCH) "" *')
            names.client.bad('LIST "" * RETURN (NOSUCH)')

    def test_returns(self) -> None:
        for names in self.styles():
            client, name = names.client, names.name
            client.ok(f"CREATE {names.quoted('a')}")
            client.ok(f"CREATE {names.quoted('a', 'Sent')}")
            client.ok(f"CREATE {names.quoted('Sent')}")
            client.ok(f"SUBSCRIBE {names.quoted('a')}")
            client.append(MESSAGE, names.quoted("Sent"), r"(\Seen)")
            command = (
                'LIST "" * RETURN (SUBSCRIBED CHILDREN SPECIAL-USE '
                "STATUS (MESSAGES UNSEEN SIZE APPENDLIMIT))"
            )
            found = upper(names.listed(command))
            self.assertEqual(
                found[name("a")], {rb"\SUBSCRIBED", rb"\HASCHILDREN"}, names.style
            )
            self.assertEqual(found[name("Sent")], {rb"\SENT", rb"\HASNOCHILDREN"})
            self.assertEqual(found[name("a", "Sent")], {rb"\HASNOCHILDREN"})
            counts = dict(answers(client, command, b"STATUS"))
            self.assertEqual(
                set(counts), {"INBOX", name("a"), name("Sent"), name("a", "Sent")}
            )
            self.assertEqual(
                counts[name("Sent")],
                {
                    b"MESSAGES": 1,
                    b"UNSEEN": 0,
                    b"SIZE": len(MESSAGE),
                    b"APPENDLIMIT": 50 << 20,
                },
            )
            # Each STATUS follows its LIST: RFC 5819 §2 lets clients rely on neither.
            self.assertEqual(
                set(names.listed(f'LIST "" ({names.quoted("a")} INBOX)')),
                {"INBOX", name("a")},
            )

    def test_status_of_one_folder_fails_alone(self) -> None:
        names = Names(self, NamespaceStyle.SLASH)
        names.client.ok("CREATE a")
        names.client.ok("CREATE b")
        place = names.server.maildir("alice") / ".a" / "new"
        place.rmdir()
        place.write_bytes(b"")
        answer = names.client.ok('LIST "" * RETURN (STATUS (MESSAGES))')
        self.assertIn(b"* STATUS b (MESSAGES 0)", answer)
        self.assertNotIn(b"* STATUS a", answer)
        self.assertIn(b"* NO [", answer)


class SpecialUseTests(NameCase):
    def test_by_name(self) -> None:
        for names in self.styles():
            client = names.client
            for folder in (
                "Sent",
                "Drafts",
                "Trash",
                "Junk",
                "Archive",
                "Sent Items",
                "Post",
            ):
                client.ok(f"CREATE {names.quoted(folder)}")
            found = {
                name: use for name, use in upper(names.listed('LIST "" *')).items()
            }
            for folder in ("Sent", "Drafts", "Trash", "Junk", "Archive"):
                use = b"\\" + folder.upper().encode()
                self.assertIn(use, found[names.name(folder)], (names.style, folder))
            for folder in ("Sent Items", "Post"):
                self.assertEqual(
                    found[names.name(folder)], {rb"\HASNOCHILDREN"}, folder
                )
            self.assertEqual(len(names.listed('LIST (SPECIAL-USE) "" *')), 5)

    def test_create_with_a_use(self) -> None:
        for names in self.styles():
            client, quoted = names.client, names.quoted
            client.ok(rf"CREATE {quoted('Archive')}")
            client.ok(rf"CREATE {quoted('Old')} (USE (\archive))")
            found = upper(names.listed('LIST (SPECIAL-USE) "" *'))
            self.assertEqual(set(found), {names.name("Old")}, names.style)
            for folder, uses in {
                "another": r"\Archive",
                "unknown": r"\Nosuch",
                "two": r"\Sent \Trash",
                "all": r"\All",
            }.items():
                answer = client.no(f"CREATE {quoted(folder)} (USE ({uses}))")
                self.assertIn(b"[USEATTR]", answer, (names.style, folder))
                self.assertNotIn(names.name(folder), names.folders(), folder)
            client.ok(f"CREATE {quoted('none')} (USE ())")
            client.bad(f"CREATE {quoted('x')} (USE)")
            client.bad(f"CREATE {quoted('x')} (NOSUCH (1))")
            client.bad(f"CREATE {quoted('x')} (USE (Archive))")
            client.ok(f"RENAME {quoted('Old')} {quoted('Older')}")
            self.assertEqual(
                set(names.listed('LIST (SPECIAL-USE) "" *')), {names.name("Older")}
            )
            client.ok(f"DELETE {quoted('Older')}")
            # By name again.
            self.assertEqual(
                set(names.listed('LIST (SPECIAL-USE) "" *')), {names.name("Archive")}
            )

    def test_made_at_the_first_login(self) -> None:
        for style in NamespaceStyle:
            options = StoreOptions(
                namespace=style,
                special_use={
                    rb"\Sent": "Sent",
                    rb"\Trash": "Bin/Rubbish",
                    rb"\Junk": "Spam",
                },
            )
            names = Names(self, style, options=options)
            made = {
                names.name("Sent"),
                names.name("Bin", "Rubbish"),
                names.name("Spam"),
            }
            self.assertEqual(set(names.listed('LIST (SPECIAL-USE) "" *')), made, style)
            self.assertEqual(set(names.listed('LSUB "" *')), made, style)
            names.client.ok(f"DELETE {names.quoted('Spam')}")
            names.client.ok(f"UNSUBSCRIBE {names.quoted('Spam')}")
            names.client.hang_up()
            names.client = names.server.login()  # what the user removed stays removed
            self.assertNotIn(names.name("Spam"), names.folders(), style)

    def test_limits(self) -> None:
        limits = Limits(mailbox_count=10, subscription_count=10)
        for names in self.styles(limits=limits):
            for number in range(8):
                names.client.ok(f"CREATE {names.quoted(str(number))}")
            for number in range(10):
                names.client.ok(f"SUBSCRIBE {names.quoted(str(number))}")
            names.client.command(f"CREATE {names.quoted('9')}")
            answer = names.client.no(f"CREATE {names.quoted('10')}")
            self.assertIn(b"[LIMIT]", answer, names.style)
            answer = names.client.no(f"SUBSCRIBE {names.quoted('10')}")
            self.assertIn(b"[LIMIT]", answer, names.style)
