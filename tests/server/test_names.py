"""Mailbox names in each namespace.  RFC 3501 §5.1, §6.3, RFC 2342."""

from imapd.model.mailbox import NamespaceStyle
from tests.support.names import MESSAGE, NameCase, Names, status
from tests.support.server import Server


class NameTests(NameCase):
    # Hardening: F08.

    def test_namespace(self) -> None:
        for names in self.styles():
            wanted = b'* NAMESPACE (("%b" "%b")) NIL NIL\r\n' % (
                names.prefix.encode(),
                names.separator.encode(),
            )
            self.assertIn(wanted, names.client.ok("NAMESPACE"), names.style)
            root = b'* LIST (\\Noselect) "%b" ""\r\n' % names.separator.encode()
            self.assertIn(root, names.client.ok('LIST "" ""'), names.style)
            # The extended form has no such special case: RFC 5258 §3.
            self.assertNotIn(b"* LIST", names.client.ok('LIST () "" ""'))
            self.assertNotIn(b"* LIST", names.client.ok('LSUB "" ""'))

    def test_every_command_knows_the_names(self) -> None:
        for names in self.styles():
            client, one, two = names.client, names.quoted("A", "B"), names.quoted("C")
            client.ok(f"CREATE {one}")
            self.assertIn(b"[APPENDUID ", client.append(MESSAGE, one))
            self.assertEqual(status(client, one, "MESSAGES"), {b"MESSAGES": 1})
            client.ok(f"SUBSCRIBE {one}")
            self.assertEqual(set(names.listed('LSUB "" *')), {names.name("A", "B")})
            client.ok(f"UNSUBSCRIBE {one}")
            self.assertIn(b"* 1 EXISTS", client.ok(f"SELECT {one}"))
            self.assertIn(b"[TRYCREATE]", client.no(f"COPY 1 {two}"), names.style)
            self.assertIn(b"[TRYCREATE]", client.no(f"UID MOVE 1 {two}"))
            client.ok(f"CREATE {two}")
            self.assertIn(b"[COPYUID ", client.ok(f"COPY 1 {two}"))
            client.ok(f"RENAME {two} {names.quoted('D')}")
            self.assertIn(b"* 1 EXISTS", client.ok(f"EXAMINE {names.quoted('D')}"))
            client.ok(f"DELETE {names.quoted('D')}")
            client.ok(f"DELETE {one}")
            self.assertEqual(names.folders(), set(), names.style)

    def test_inbox_has_no_case(self) -> None:
        for names in self.styles():
            client, separator = names.client, names.separator
            client.append(MESSAGE, "inBox")
            for inbox in ("INBOX", "inbox", '"InBoX"', '"inbox' + separator + '"'):
                counts = status(client, inbox, "MESSAGES")
                self.assertEqual(counts, {b"MESSAGES": 1}, (names.style, inbox))
                self.assertIn(b"[ALREADYEXISTS]", client.no(f"CREATE {inbox}"))
                self.assertIn(b"[CANNOT]", client.no(f"DELETE {inbox}"))
            client.ok(f"CREATE inbox{separator}one")
            client.no(f"CREATE iNBOX{separator}one")
            client.ok(f"SUBSCRIBE Inbox{separator}one")
            below = f"INBOX{separator}one"
            for pattern in (f"inbox{separator}*", f"iNbox{separator}%", "in*", below):
                for command in ("LIST", "LSUB"):
                    found = names.listed(f'{command} "" {pattern}')
                    self.assertIn(below, found, (names.style, command, pattern))
            self.assertIn(below, names.listed(f"LIST inbox{separator} *"))
            self.assertEqual(set(names.listed('LIST "" inbox')), {"INBOX"})
            self.assertNotIn(below, names.listed(f'LIST "" INBOX{separator}ONE'))
            client.ok(f"UNSUBSCRIBE INBOX{separator}one")
            self.assertEqual(names.listed('LSUB "" *'), {})

    def test_a_pattern_that_only_looks_like_inbox(self) -> None:
        names = Names(self, NamespaceStyle.SLASH)
        for name in ("inboxes", "in", "India", "INBOXES"):
            names.client.ok(f"CREATE {name}")
        found = {"in", "inboxes", "INBOX"}
        self.assertEqual(set(names.listed('LIST "" in*')), found)
        self.assertEqual(set(names.listed('LIST "" inboxes')), {"inboxes"})
        self.assertEqual(set(names.listed('LIST "" inbox%')), {"inboxes", "INBOX"})

    def test_the_empty_name_is_no_mailbox(self) -> None:
        for names in self.styles():
            client = names.client
            client.append(MESSAGE)
            for command in (
                'SELECT ""',
                'EXAMINE ""',
                'STATUS "" (MESSAGES)',
                'CREATE ""',
                'DELETE ""',
                'RENAME "" x',
                'RENAME INBOX ""',
                'SUBSCRIBE ""',
                'APPEND "" {5+}\r\n12345',
            ):
                answer = client.no(command)
                self.assertNotIn(b"ALREADYEXISTS", answer, (names.style, command))
            client.ok("SELECT INBOX")
            client.no('COPY 1 ""')
            client.no('MOVE 1 ""')
            self.assertEqual(names.folders(), set(), names.style)
            counts = status(client, "INBOX", "MESSAGES")
            self.assertEqual(counts, {b"MESSAGES": 1}, names.style)

    def test_a_separator_at_the_end(self) -> None:
        for names in self.styles():
            client, slashed = names.client, names.quoted("x", "")
            client.ok(f"CREATE {slashed}")
            self.assertEqual(names.folders(), {names.name("x")}, names.style)
            self.assertIn(b"[ALREADYEXISTS]", client.no(f"CREATE {names.quoted('x')}"))
            self.assertEqual(status(client, slashed, "MESSAGES"), {b"MESSAGES": 0})
            client.ok(f"RENAME {slashed} {names.quoted('y', '')}")
            self.assertEqual(names.folders(), {names.name("y")}, names.style)
            self.assertIn(b"[CANNOT]", client.no(f"CREATE {names.quoted('x', '', '')}"))

    def test_impossible_names(self) -> None:
        # Hardening: F01.
        controls = {"tab": "a\tb", "escape": "a\x1bb", "del": "a\x7fb"}
        bad = {
            "a level up": "..",
            "empty level": "a{}{}b",
            "begins with the separator": "{}a",
            "other separator": "a{other}b",
            "tilde": "~",
            "home of somebody": "~root",
            "bare shift": "&",
            "open shift": "a&AOk",
            "encoded slash": "&AC8-",
            "encoded dot": "&AC4-",
            "encoded ASCII": "&AGE-",
            "not BASE64": "&Jjo!-",
            "lone surrogate": "&2D0-",
            "encoded NUL": "&AAA-",
            "encoded newline": "&AAo-",
            "encoded C1 control": "&AIU-",
            "line separator": "&ICg-",
            "too long": "x" * 252,
            "too long in octets": "&"
            + "AOk" * 0
            + "AOkA6QDpAOkA6QDpAOkA6QDp" * 40
            + "-",
            "too deep": "{}".join("d" * 40),
            **controls,
        }
        for names in self.styles():
            other = "/" if names.separator == "." else "."
            client = names.client
            client.ok(f"CREATE {names.quoted('there')}")
            for case, template in bad.items():
                name = template.replace("{other}", other)
                name = name.replace("{}", names.separator)
                quoted = names.quoted(name)
                self.assertIn(b"[CANNOT]", client.no(f"CREATE {quoted}"), case)
                rename = f"RENAME {names.quoted('there')} {quoted}"
                self.assertIn(b"[CANNOT]", client.no(rename), case)
                self.assertIn(b"[CANNOT]", client.no(f"SUBSCRIBE {quoted}"), case)
                for command in (
                    f"SELECT {quoted}",
                    f"DELETE {quoted}",
                    f"STATUS {quoted} (MESSAGES)",
                    f"APPEND {quoted} {{5+}}\r\n12345",
                ):
                    client.no(command)
                self.assertEqual(names.folders(), {names.name("there")}, case)
            self.assertEqual(names.listed('LSUB "" *'), {})
            root = names.server.maildir("alice")
            self.assertEqual(
                {each.name for each in names.server.root.iterdir()}, {"alice"}
            )
            self.assertEqual({each.name for each in root.parent.iterdir()}, {"Maildir"})

    def test_8_bit_and_nul_in_a_name(self) -> None:
        # Hardening: P07.
        for names in self.styles():
            client = names.client
            client.bad("CREATE {4+}\r\nx\xc3\xa9".encode("latin-1") + b"y")
            client.no(b"CREATE {3+}\r\na\nb")
            self.assertEqual(names.folders(), set())

    def test_odd_names_go_there_and_back(self) -> None:
        # Hardening: P18.
        good = [
            "%",
            "*",
            "a%b*c",
            'q"q',
            "back\\slash",
            "&-",
            "R&-D",
            "&U,BTFw-",  # 台北
            "Entw&APw-rfe",
            "&2D3eAA-",  # outside the basic plane
            " leading",
            "trailing ",
            "cur",
            "new",
            "tmp",
            "dovecot-uidlist",
            "(parentheses)",
            "{5}",
            "a]b",
            "#news",
            "x" * 245,
            "INBOX ",
            "NIL",
        ]
        for names in self.styles():
            client = names.client
            for name in good:
                quoted = names.quoted(name)
                client.ok(f"CREATE {quoted}")
                client.ok(f"SUBSCRIBE {quoted}")
                self.assertIn(b"[APPENDUID ", client.append(MESSAGE, quoted), name)
                self.assertEqual(status(client, quoted, "MESSAGES"), {b"MESSAGES": 1})
                client.ok(f"SELECT {quoted}")
                client.ok("UNSELECT")
            # The grammar reads names as it reads them everywhere: decoded or not.
            raw = client.ok('LIST "" *')
            for name in good:
                octets = names.name(name).encode()
                octets = octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
                self.assertIn(octets, raw, (names.style, name))
            self.assertEqual(len(names.folders()), len(good), names.style)
            self.assertEqual(len(names.listed('LSUB "" *')), len(good), names.style)
            for name in good:
                client.ok(f"DELETE {names.quoted(name)}")
            self.assertEqual(names.folders(), set(), names.style)

    def test_names_outside_the_prefix(self) -> None:
        names = Names(self, NamespaceStyle.COURIER)
        client = names.client
        for name in ("Sent", "INBOXfoo", "#shared.x", "Sent.INBOX."):
            self.assertIn(b"[CANNOT]", client.no(f"CREATE {name}"), name)
            self.assertIn(b"[NONEXISTENT]", client.no(f"SELECT {name}"), name)
            self.assertIn(b"[TRYCREATE]", client.no(f"APPEND {name} {{1+}}\r\nx"), name)
        self.assertEqual(names.folders(), set())

    def test_how_names_are_on_disk(self) -> None:
        cases = {
            "new account": ("", "Entw&APw-rfe", b".Entw&APw-rfe"),
            "UTF-8 account": (
                "courierimapsubscribed",
                "Entw&APw-rfe",
                ".Entwürfe".encode(),
            ),
        }
        for case, (file, name, directory) in cases.items():
            server = Server(self, namespace=NamespaceStyle.DOVECOT)
            root = server.maildir("alice")
            (root / "cur").mkdir(parents=True)
            if file:
                (root / file).write_bytes(b"INBOX\n")
            client = server.login()
            client.ok(f"CREATE {name}")
            self.assertIn(
                directory, [path.name.encode() for path in root.iterdir()], case
            )
            self.assertIn(name.encode(), client.ok('LIST "" *'), case)
            client.ok(f"RENAME {name} {name}-alt")
            client.ok(f"SUBSCRIBE {name}-alt")
            self.assertIn(name.encode() + b"-alt", client.ok('LSUB "" *'), case)

    def test_both_encodings_in_one_account(self) -> None:
        server = Server(self, namespace=NamespaceStyle.DOVECOT)
        root = server.maildir("alice")
        for folder in (
            ".Entwürfe",
            ".Entw&APw-rfe-alt",
            ".R&D",
            ".R&-D.x",
            ".bad\udcff",
        ):
            (root / folder / "cur").mkdir(parents=True)
        (root / "cur").mkdir()
        raw = server.login().ok('LIST "" *')
        for name in (
            b"Entw&APw-rfe\r\n",
            b"Entw&APw-rfe-alt\r\n",
            b"R&-D\r\n",
            b"R&-D.x\r\n",
        ):
            self.assertIn(b" " + name, raw)
        self.assertNotIn(b"bad", raw)

    def test_a_name_that_looks_like_one_there(self) -> None:
        for names in self.styles():
            names.client.ok(f"CREATE {names.quoted('caf&AOk-')}")
            answer = names.client.no(f"CREATE {names.quoted('cafe&AwE-')}")
            self.assertIn(b"[ALREADYEXISTS]", answer)
