"""Octets to text, whatever charset a message claims.

Only real character sets are decoded with: the codec registry also holds
compressors and quadratic ones, and remembers every unknown name it was asked for.
"""

import codecs
import importlib
import re
from encodings.aliases import aliases
from functools import cache, lru_cache

_SEPARATORS = re.compile(r"[^a-z0-9]+")
_NOT_TEXT = {
    *("base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "uu_codec"),
    *("zlib_codec", "rot_13", "idna", "punycode", "mbcs", "oem", "tactis"),
    *("undefined", "unicode_escape", "raw_unicode_escape"),
}
#: Supersets that senders mean (WHATWG Encoding §4.2), and names Python has not.
_MEANT = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x_gbk": "gb18030",
    "ks_c_5601_1987": "cp949",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "x_sjis": "cp932",
    "tis_620": "cp874",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "x_mac_roman": "mac_roman",
    "x_mac_cyrillic": "mac_cyrillic",
    "unicode_1_1_utf_7": "utf_7",
}
_MAYBE_UTF8 = (None, "utf_8")
#: More octets than this that cannot be decoded are no text in that charset.  Each takes
#: some codecs a hundred times longer than one that can.
MOST_ERRORS = 1 << 18
_REPLACEMENT = "\ufffd"
_WINDOWS_1252 = "".join(
    bytes([octet]).decode("cp1252", "ignore") or chr(octet) for octet in range(256)
)


def codec_name(charset: bytes) -> str | None:
    """Return the codec for a charset, or None if it is unknown or says nothing.

    None is for US-ASCII, and for nothing: such text is UTF-8 if it can be.
    """
    return _codec_name(charset) if len(charset) <= 64 else None


@lru_cache(1024)
def _codec_name(charset: bytes) -> str | None:
    name = _SEPARATORS.sub("_", charset.decode("latin-1").strip().lower())
    name = _MEANT.get(name) or aliases.get(name, name)
    name = _MEANT.get(name, name)
    return name if name in _CODECS else None


def _codecs() -> frozenset[str]:
    named = set(aliases.values()) | {"utf_8_sig", "cp874", "koi8_u", "mac_cyrillic"}
    return frozenset(named - _NOT_TEXT - {"ascii"})


_CODECS = _codecs()


@cache
def _table(name: str) -> str | None:
    """Return what each octet is in a charset of single octets; None: it is none.

    With U+FFFD for those that mean nothing no octet is an error, which is slow.
    """
    if not hasattr(importlib.import_module(f"encodings.{name}"), "decoding_table"):
        return None
    return "".join(bytes((octet,)).decode(name, "replace") for octet in range(256))


def decode(octets: bytes, charset: bytes = b"") -> str:
    """Return all the octets as text; what cannot be decoded becomes U+FFFD.

    Without a charset we know, it is UTF-8, or else windows-1252.
    """
    text = decode_if_utf8(octets, charset)
    return Decoder(charset).decode(octets, final=True) if text is None else text


def decode_if_utf8(octets: bytes, charset: bytes = b"") -> str | None:
    """Return text in UTF-8 that says so, or says nothing; None for all other.

    Nearly all text is, or is ASCII, and needs no decoder that is made for it.
    """
    if charset and codec_name(charset) not in _MAYBE_UTF8:
        return None
    try:
        return octets.decode("utf-8")
    except UnicodeError:
        return None


class Decoder:
    """Decodes one text in pieces."""

    __slots__ = ("_decoder", "_errors", "_guess", "_hoards", "_table")

    def __init__(self, charset: bytes = b"") -> None:
        name = codec_name(charset)
        self._guess = name is None
        # It keeps a whole shifted run and begins it anew with every piece.
        self._hoards = name == "utf_7"
        self._errors = 0
        self._decoder: codecs.IncrementalDecoder | None = None
        self._table = _WINDOWS_1252
        if name in ("latin_1", "cp1252"):
            self._guess = False  # by the table: it knows all 256 octets
        elif name is not None and (table := _table(name)) is not None:
            self._table = table
        else:
            errors = "strict" if self._guess else "replace"
            self._decoder = codecs.getincrementaldecoder(name or "utf-8")(errors)

    def decode(self, octets: bytes, final: bool = False) -> str:
        """Return the text of the next octets; an unfinished character waits."""
        if self._decoder is None:
            return codecs.charmap_decode(octets, "strict", self._table)[0]
        if self._errors > MOST_ERRORS:
            return octets.decode("ascii", "replace")
        pending = self._decoder.getstate()[0] if self._guess else b""
        try:
            text = self._decoder.decode(octets, final or self._hoards)
            self._errors += text.count(_REPLACEMENT)
            return text
        except UnicodeError:
            if not self._guess:  # a codec that breaks in spite of "replace"
                self._decoder.reset()
                self._errors += len(octets)
                return octets.decode("ascii", "replace")
            self._decoder = None  # no UTF-8: so is all that follows
            return self.decode(pending + octets, final)
