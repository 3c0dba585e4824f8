"""Our messages as ``IMessageIMAP`` and ``IMessageIMAPFile``.

The interface hands headers out as a dictionary of ``str``, so that what the stock
server makes of them is not the message's own octets: repeated fields are lost, and
names are spelled anew.  ``open`` gives the octets as they are.
"""

# ruff: noqa: N802  the interface names the methods

from base64 import b64encode
from collections.abc import Callable, Iterator
from email.utils import formatdate
from io import BytesIO
from re import compile as pattern

from twisted.mail.interfaces import IMessageIMAP, IMessageIMAPFile, IMessageIMAPPart
from zope.interface import implementer

from imapd.ids import Uid
from imapd.mailbox.selected import Selected
from imapd.mime import scan, structure
from imapd.mime.charsets import decode
from imapd.mime.headers import fields, unfold
from imapd.model.flags import RECENT
from imapd.model.structure import BodyPart

#: The CRLF form of a message, and its structure.
Loaded = tuple[bytes, BodyPart]

_CONTROLS = pattern(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]+")
_BETWEEN_WORDS = pattern(r'([ \t<>"(),;:@]+)')
#: An encoded word has at most 75 octets: RFC 2047 §2.  Ten characters have 40.
_WORD_CHARS = 10
#: What a message says that does not say it.  RFC 2045 §5.2, §6.1.
_DEFAULTS = {
    "content-type": "text/plain; charset=us-ascii",
    "content-transfer-encoding": "7BIT",
}


def load(octets: bytes) -> Loaded:
    """Take a message as it is on disk."""
    wire = scan.to_wire(octets)
    return wire, structure.parse(wire)


class _Entity:
    """What a message and a part of one have in common."""

    def _loaded(self) -> Loaded:
        """The whole message's octets, and the structure of this entity."""
        raise LookupError("an entity without octets")

    def getHeaders(self, negate: bool, *names: str | bytes) -> dict[str, str]:
        """The fields named, or all others; by lower-case name, in ASCII.

        Of repeated fields the first.  Content-Type and Content-Transfer-Encoding,
        asked for by name, have a value also where the message has none.
        """
        asked = {
            (name.decode("latin-1") if isinstance(name, bytes) else name).lower()
            for name in names
        }
        octets, part = self._loaded()
        found: dict[str, str] = {}
        for name, value in _fields(octets, part):
            if (name in asked) is not bool(negate):
                found.setdefault(name, _ascii(value))
        if not negate:
            for name in asked & _DEFAULTS.keys():
                found.setdefault(name, _DEFAULTS[name])
        if "content-type" in found:
            found["content-type"] = _splittable(found["content-type"], part)
        return found

    def getBodyFile(self) -> BytesIO:
        """The octets after the header."""
        octets, part = self._loaded()
        return BytesIO(octets[part.body_start : part.end])

    def isMultipart(self) -> bool:
        """Whether it is a multipart; what a message/rfc822 holds is its part 0."""
        return self._loaded()[1].is_multipart

    def getSubPart(self, part: int) -> "ImapPart":
        """A part by its number, from 0 on.

        Raises:
            IndexError: there is no such part.
            TypeError: there are no parts.
        """
        octets, entity = self._loaded()
        parts = [entity.message] if entity.message is not None else entity.parts
        if not parts:
            raise TypeError("the part has no parts")
        if not 0 <= part < len(parts):
            raise IndexError(part)
        return ImapPart(octets, parts[part])


@implementer(IMessageIMAPPart)
class ImapPart(_Entity):
    """A part of a message."""

    def __init__(self, octets: bytes, part: BodyPart) -> None:
        self._whole = octets, part

    def _loaded(self) -> Loaded:
        return self._whole

    def getSize(self) -> int:
        """Octets of the content."""
        return self._whole[1].octets


@implementer(IMessageIMAP, IMessageIMAPFile)
class ImapMessage(_Entity):
    """One message of a selected mailbox; its file is read when it is needed.

    What needs the file blocks: the interface leaves no room for waiting.  It
    raises ``MessageGone`` if the message was expunged meanwhile.
    """

    def __init__(
        self, selected: Selected, uid: Uid, read: Callable[[Uid], Loaded]
    ) -> None:
        self.selected = selected
        self.uid = uid
        self._read = read

    def _loaded(self) -> Loaded:
        return self._read(self.uid)

    def getUID(self) -> int:
        """The UID."""
        return self.uid

    def getFlags(self) -> list[str]:
        r"""The flags as they are now, ``\Recent`` with them, sorted."""
        return flag_names(self.selected, self.uid)

    def getInternalDate(self) -> bytes:
        """As in a Date field, in UTC."""
        seconds = self.selected.meta(self.uid).internal_date_seconds
        return formatdate(seconds).encode("ascii")

    def getSize(self) -> int:
        """RFC822.SIZE, header and all."""
        return self.selected.meta(self.uid).rfc822_size

    def open(self) -> BytesIO:
        """All octets, in the CRLF form."""
        return BytesIO(self._loaded()[0])


def flag_names(selected: Selected, uid: Uid) -> list[str]:
    r"""The flags of a message as ``str``, with ``\Recent``, sorted."""
    flags = set(selected.flags(uid))
    if uid in selected.view.recent:
        flags.add(RECENT)
    return sorted(flag.decode("ascii", "backslashreplace") for flag in flags)


def _fields(octets: bytes, part: BodyPart) -> Iterator[tuple[str, str]]:
    """Lower-case names and decoded, unfolded values."""
    for field in fields(octets, part.header_start, part.body_start):
        if field.name and field.name.isascii():
            value = unfold(octets[field.value_start : field.end]).rstrip(b"\r\n")
            yield field.name.decode("ascii").lower(), decode(value)


def _ascii(value: str) -> str:
    """Make a value of one line, in ASCII: 8-bit words become encoded words.

    The stock server can send nothing else.  RFC 2047 §5.
    """
    value = _CONTROLS.sub(" ", value)
    if value.isascii():
        return value
    pieces = _BETWEEN_WORDS.split(value)  # word, separator, word, ...
    for at in range(0, len(pieces), 2):
        if not pieces[at].isascii():
            pieces[at] = _encoded_words(pieces[at])
    return "".join(pieces)


def _encoded_words(word: str) -> str:
    """``=?utf-8?b?w7w=?=``; readers drop the blanks between several."""
    octets = [
        word[at : at + _WORD_CHARS].encode("utf-8", "replace")
        for at in range(0, len(word), _WORD_CHARS)
    ]
    return " ".join(f"=?utf-8?b?{b64encode(one).decode('ascii')}?=" for one in octets)


def _splittable(value: str, part: BodyPart) -> str:
    """A Content-Type that the stock server can take apart.

    It splits at semicolons and equals signs, expects a message in what is called
    one, and drops the connection where it fails.
    """
    kind, subkind = _text(part.type).lower(), _text(part.subtype).lower()
    if (kind, subkind) == ("message", "rfc822") and part.message is None:
        kind, subkind = "application", "octet-stream"
    said, *parameters = value.split(";")
    if said.lower() == f"{kind}/{subkind}" and all(map(_is_parameter, parameters)):
        return value
    words = [f'{_text(name)}="{_text(text)}"' for name, text in part.params]
    return "; ".join((f"{kind}/{subkind}", *words))


def _is_parameter(text: str) -> bool:
    name, equals, value = text.strip().partition("=")
    return bool(name and equals and value)


def _text(octets: bytes) -> str:
    return _ascii(decode(octets)).replace(";", "_").replace('"', "'")
