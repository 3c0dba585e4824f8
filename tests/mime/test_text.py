"""What SEARCH sees: charsets, encodings, encoded words, case."""

import base64
import quopri
import time
import unicodedata
from unittest import TestCase
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from imapd.mime import text
from imapd.mime.charsets import (
    _CODECS,
    MOST_ERRORS,
    Decoder,
    _table,
    codec_name,
    decode,
)
from imapd.mime.folding import fold
from imapd.mime.structure import parse

HEADERS = {
    "plain": (b" hello world\r\n", "hello world"),
    "folded": (b" hello\r\n world\r\n", "hello world"),
    "Q": (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
    "Q, underscore": (b"=?utf-8?Q?a_b?=", "a b"),
    "B": (b"=?UTF-8?B?R3LDvMOfZQ==?=", "Grüße"),
    "B without padding": (b"=?UTF-8?B?R3LDvMOfZQ?=", "Grüße"),
    "adjacent": (b"=?utf-8?q?a?= \r\n =?utf-8?q?b?=", "ab"),
    "adjacent, two charsets": (b"=?utf-8?q?a?= =?iso-8859-1?q?=fc?=", "aü"),
    "split character": (b"=?utf-8?q?=C3?= =?utf-8?b?vA==?=", "ü"),
    "words between": (b"x =?utf-8?q?a?= y =?utf-8?q?b?= z", "x a y b z"),
    "no blank around": (b"x=?utf-8?q?a?=y", "xay"),
    "in quotes": (b'"=?utf-8?q?=C3=BC?=" <a@b>', '"ü" <a@b>'),
    "language": (b"=?utf-8*de?q?a?=", "a"),
    "iso-2022-jp": (b"=?iso-2022-jp?B?GyRCRnxLXDhsGyhC?=", "日本語"),
    "koi8-r": (b"=?koi8-r?B?5O/r9e3l7vT5?=", "ДОКУМЕНТЫ"),
    "blank in Q": (b"=?utf-8?q?a b?=", "a b"),
    "empty": (b"=?utf-8?q??=", ""),
    "unknown encoding": (b"=?utf-8?x?a?=", "=?utf-8?x?a?="),
    "not closed": (b"=?utf-8?q?a", "=?utf-8?q?a"),
    "no charset": (b"=??q?a?=", "=??q?a?="),
    "unknown charset": (b"=?x-none?q?=C3=BC?=", "ü"),
    "codec that is none": (b"=?zlib?q?a?=", "a"),
    "broken escape": (b"=?utf-8?q?=ZZ=?=", "=ZZ"),
    "broken UTF-8": (b"=?utf-8?q?a=FFb?=", "a\ufffdb"),
    "raw UTF-8": ("köln".encode(), "köln"),
    "raw latin-1": (b"k\xf6ln", "köln"),
    "raw windows-1252": (b"\x80\x81", "€\x81"),
}
BODIES = {
    "plain": (b"\r\nhello\r\n", ["hello\r\n"]),
    "UTF-8, no charset": (b"\r\nk\xc3\xb6ln", ["köln"]),
    "latin-1, no charset": (b"\r\nk\xf6ln", ["köln"]),
    "latin-1": (
        b"Content-Type: text/plain; charset=ISO-8859-1\r\n\r\nk\xf6ln",
        ["köln"],
    ),
    "unknown charset": (
        b"Content-Type: text/plain; charset=x-a\r\n\r\nk\xf6ln",
        ["köln"],
    ),
    "quoted-printable": (
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\nk=C3=B6=\r\nln\r\n",
        ["köln\r\n"],
    ),
    "base64": (
        b"Content-Transfer-Encoding: BASE64\r\n\r\na8O2\r\nbG4=\r\n",
        ["köln"],
    ),
    "base64, broken": (
        b"Content-Transfer-Encoding: base64\r\n\r\na8O2!bG4\r\n--\r\n",
        ["köln"],
    ),
    "unknown encoding": (b"Content-Transfer-Encoding: x\r\n\r\na=3D", ["a=3D"]),
    "no text": (b"Content-Type: image/png\r\n\r\nhello", []),
    "html as it is": (b"Content-Type: text/html\r\n\r\n<b>x</b>", ["<b>x</b>"]),
    "delivery status": (b"Content-Type: message/delivery-status\r\n\r\nA: b", ["A: b"]),
    "empty": (b"\r\n", []),
    "multipart": (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\npreamble\r\n"
        b"--x\r\nContent-Type: text/plain; name=hidden\r\n\r\none\r\n"
        b"--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ntwo\r\n"
        b"--x\r\nContent-Type: application/pdf\r\n\r\nthree\r\n--x--\r\nepilogue",
        ["one", "two"],
    ),
}
SAME = {
    "ASCII": ("HELLO", "hello"),
    "umlaut": ("GRÜSSE", "grüße"),
    "sharp s": ("GRÜẞE AUS KÖLN", "grüße aus köln"),
    "cyrillic": ("ДОКУМЕНТЫ", "документы"),
    "decomposed": ("Ko\u0308ln", "KÖLN"),
    "final sigma": ("ΣΑΣ", "σας"),
    "ligature": ("ﬁn", "FIN"),
    "full width": ("ＡＢＣ", "abc"),
    "dotless i": ("ı", "I"),
    "letter-like": ("℡", "tel"),
}


class HeaderTests(TestCase):
    def test_cases(self) -> None:
        for name, (value, expected) in HEADERS.items():
            self.assertEqual(text.decode_header(value), expected, name)

    def test_all_occurrences(self) -> None:
        header = b"To: a\r\nSubject: x\r\nTO : =?utf-8?q?b?=\r\n c\r\n\r\n"
        self.assertEqual(list(text.header_text(header, b"to")), ["a", "b c"])
        self.assertEqual(list(text.header_text(header, b"Cc")), [])

    def test_whole_fields(self) -> None:
        header = b"To: a\r\nSubject: =?utf-8?q?=C3=BC?=\r\n\r\nbody"
        self.assertEqual(list(text.all_header_texts(header)), ["To: a", "Subject: ü"])

    @given(st.binary(max_size=200))
    def test_anything_decodes(self, value: bytes) -> None:
        self.assertIsInstance(text.decode_header(b"=?utf-8?q?" + value), str)

    @given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40))
    def test_encoded_words_give_the_text(self, words: str) -> None:
        octets = words.encode()
        pieces = [octets[i : i + 3] for i in range(0, len(octets), 3)]
        value = b"\r\n ".join(b"=?utf-8?b?%b?=" % base64.b64encode(p) for p in pieces)
        self.assertEqual(text.decode_header(value), words)


class BodyTests(TestCase):
    def test_cases(self) -> None:
        for name, (message, expected) in BODIES.items():
            found = list(text.body_texts(message, parse(message)))
            self.assertEqual(found, expected, name)

    def test_part_headers_are_apart(self) -> None:
        message = b"Subject: outer\r\n" + BODIES["multipart"][0]
        found = list(text.part_header_texts(message, parse(message)))
        self.assertIn("Content-Type: text/plain; name=hidden", found)
        self.assertIn("Subject: inner", found)
        self.assertNotIn("Subject: outer", found)

    def test_any_chunk_size_gives_the_same_text(self) -> None:
        words = "Grüße aus Köln, 日本語 = ok\r\n" * 40
        forms = {
            b"8bit": words.encode(),
            b"base64": base64.encodebytes(words.encode()),
            b"quoted-printable": quopri.encodestring(words.encode()),
        }
        for encoding, content in forms.items():
            message = (
                b"Content-Type: text/plain; charset=utf-8\r\n"
                b"Content-Transfer-Encoding: %b\r\n\r\n%b" % (encoding, content)
            )
            for size in (7, 64, 1000, 1 << 18):
                with patch.object(text, "_CHUNK_OCTETS", size):
                    found = "".join(text.body_texts(message, parse(message)))
                self.assertEqual(found.split(), words.split(), (encoding, size))

    def test_padding_in_every_line(self) -> None:
        line = b"eA==\r\n"
        content = b"Content-Transfer-Encoding: base64\r\n\r\n" + line * 1000
        part = b"--x\r\n" + content
        message = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + part * 3
        self.assertEqual(
            list(text.body_texts(message, parse(message))), ["x" * 1000] * 3
        )
        # Hardening: P17.
        with (
            patch.object(text, "MOST_PADDED", 3000),
            patch.object(text, "_CHUNK_OCTETS", 600),
        ):
            found = list(text.body_texts(message, parse(message)))
        self.assertEqual(found[0], "x" * 1000)
        self.assertEqual(found[1][:500], "x" * 500)
        self.assertNotIn("xx", found[2])

    def test_windows_overlap(self) -> None:
        message = b"\r\n" + b"".join(b"line %d\r\n" % i for i in range(2000))
        whole = "".join(text.body_texts(message, parse(message)))
        with (
            patch.object(text, "_CHUNK_OCTETS", 100),
            patch.object(text, "WINDOW_CHARS", 1000),
            patch.object(text, "OVERLAP_CHARS", 200),
        ):
            windows = list(text.body_texts(message, parse(message)))
        self.assertGreater(len(windows), 10)
        again = windows[0] + "".join(window[200:] for window in windows[1:])
        self.assertEqual(again, whole)
        for start in range(0, len(whole) - 200, 37):
            needle = whole[start : start + 200]
            self.assertTrue(any(needle in window for window in windows), start)

    @given(st.binary(max_size=300), st.sampled_from([b"base64", b"quoted-printable"]))
    def test_any_content_decodes(self, content: bytes, encoding: bytes) -> None:
        head = b"Content-Transfer-Encoding: %b\r\n\r\n" % encoding
        message = head + content
        with patch.object(text, "_CHUNK_OCTETS", 16):
            self.assertIsInstance(
                "".join(text.body_texts(message, parse(message))), str
            )


class CharsetTests(TestCase):
    def test_names(self) -> None:
        known = {
            b"UTF-8": "utf_8",
            b"iso-8859-15": "iso8859_15",
            b"Windows-1251": "cp1251",
            b"gb2312": "gb18030",
            b"ks_c_5601-1987": "cp949",
            b"Shift_JIS": "cp932",
            b"us-ascii": None,
            b"zlib": None,
            b"punycode": None,
            b"../../x": None,
            b"": None,
            b"\xff" * 100: None,
        }
        for charset, expected in known.items():
            self.assertEqual(codec_name(charset), expected, charset)

    def test_every_codec_takes_any_octets(self) -> None:
        octets = bytes(range(256)) * 3 + b"\x1b$B\x1b(J~{+"
        self.assertGreater(len(_CODECS), 80)
        for name in _CODECS:
            self.assertIsInstance(decode(octets, name.encode()), str, name)
            self.assertIsNotNone(codec_name(name.encode()), name)

    def test_pieces_are_the_whole(self) -> None:
        for charset, octets in {
            b"utf-8": "日本語".encode(),
            b"": "日本語".encode(),
            b"iso-2022-jp": "日本語".encode("iso-2022-jp"),
            b"windows-1252": b"\x80uro",
        }.items():
            decoder = Decoder(charset)
            pieces = [decoder.decode(bytes([octet])) for octet in octets]
            pieces.append(decoder.decode(b"", final=True))
            self.assertEqual("".join(pieces), decode(octets, charset), charset)

    def test_single_octets_mean_what_the_codec_says(self) -> None:
        tables = 0
        for name in _CODECS:
            if (table := _table(name)) is None:
                continue
            tables += 1
            for octet in range(256):
                expected = bytes((octet,)).decode(name, "replace")
                self.assertEqual(table[octet], expected, (name, octet))
                if codec_name(name.encode()) == name != "cp1252":
                    found = decode(bytes((octet,)), name.encode())
                    self.assertEqual(found, expected, (name, octet))
            self.assertEqual(len(table), 256, name)
        self.assertGreater(tables, 50)

    def test_errors_are_counted(self) -> None:
        # Hardening: P17.
        bad = {
            b"utf-7": b"\xff",
            b"utf-16": b"\x00\xd8",
            b"utf-16-le": b"\x00\xd8",
            b"utf-32-le": b"\xff",
            b"hz": b"\xff",
        }
        for charset, octets in bad.items():
            decoder = Decoder(charset)
            decoder.decode(octets * MOST_ERRORS * 5)
            decoder.decode(octets * 16)
            self.assertEqual(decoder.decode(b"abc"), "abc", charset)

    def test_octets_without_a_meaning_are_as_fast_as_others(self) -> None:
        # Hardening: P17.
        took = []
        for octets in (b"\xe0", b"\xff"):
            began = time.process_time()
            decode(octets * (4 << 20), b"cp1255")
            took.append(time.process_time() - began)
        self.assertLess(took[1], 5 * took[0] + 0.1)

    def test_a_cut_character_is_not_lost(self) -> None:
        self.assertEqual(decode(b"a\xe6\x97"), "aæ—")


class FoldTests(TestCase):
    def test_same(self) -> None:
        for name, (one, other) in SAME.items():
            self.assertEqual(fold(one), fold(other), name)

    def test_different(self) -> None:
        self.assertNotEqual(fold("ü"), fold("u"))
        self.assertNotEqual(fold("д"), fold("т"))

    def test_as_rfc_5051(self) -> None:
        for code in (
            *range(0x20, 0x3000),
            *range(0xA640, 0xABFF),
            *range(0xF900, 0xFFFE),
        ):
            letter = chr(code)
            title = letter.title() if len(letter.title()) == 1 else letter
            mapped = unicodedata.normalize("NFKD", title)
            self.assertEqual(fold(letter), fold(mapped), hex(code))

    def test_many_marks(self) -> None:
        self.assertEqual(len(fold("a" + "\u0301\u0323" * 200_000)), 31)

    @given(
        st.text(st.sampled_from("\ufdfa\ufdfb\ue000\ue001\ue002\ue003a\u0301\u0323Ä"))
    )
    def test_long_expansions(self, words: str) -> None:
        normal = unicodedata.normalize("NFKD", words).upper().casefold()
        self.assertEqual(fold(words), unicodedata.normalize("NFKD", normal))

    def test_long_expansions_are_not_folded_each(self) -> None:
        # Hardening: P17.
        took = []
        for word in ("\u3328" * 8, "\ufdfa" * 3):
            began = time.process_time()
            self.assertEqual(len(fold(word * 50_000)) % 50_000, 0)
            took.append(time.process_time() - began)
        self.assertLess(took[1], 2 * took[0] + 0.05)

    @given(st.text(max_size=30))
    def test_folding_twice_changes_nothing(self, words: str) -> None:
        self.assertEqual(fold(fold(words)), fold(words))
