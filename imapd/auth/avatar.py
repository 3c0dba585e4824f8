"""Who has logged in, and what the user record says about their mail."""

from imapd.auth.names import user_name
from imapd.auth.refusals import LoginRefused


class AvatarId(bytes):
    """A login name that carries its record.  Equal to the plain bytes.

    Attributes:
        home: the home folder, or None if the record names none.
        mail: a mail location as the record writes it, ``maildir:~/Mail``, or None.
        uid: the owner of the mail, or None.
        gid: the group of the mail, or None.
    """

    home: str | None
    mail: str | None
    uid: int | None
    gid: int | None

    def __new__(
        cls,
        name: bytes,
        *,
        home: str | None = None,
        mail: str | None = None,
        uid: int | None = None,
        gid: int | None = None,
    ) -> "AvatarId":
        """Name and record; the name has passed ``user_name``."""
        avatar = super().__new__(cls, name)
        avatar.home, avatar.mail, avatar.uid, avatar.gid = home, mail, uid, gid
        return avatar


def avatar_id(value: object) -> AvatarId:
    """Bring what any checker returned into one form.

    Args:
        value: an ``AvatarId``, bytes or str.  Twisted's own checkers give all of
            the last two.

    Raises:
        LoginRefused: not a name that may become a path: anonymous, or outside
            the allow-list.
    """
    if isinstance(value, AvatarId):
        return value
    if isinstance(value, str):
        value = value.encode(errors="replace")
    if not isinstance(value, bytes):
        raise LoginRefused("bad-name")
    return AvatarId(user_name(value))
