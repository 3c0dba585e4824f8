"""The states of a session, and the sets of them that commands belong to."""

from enum import Enum


class State(Enum):
    """RFC 3501 §3; the values are the stock protocol's names for them."""

    NOT_AUTHENTICATED = "unauth"
    AUTHENTICATED = "auth"
    SELECTED = "select"
    LOGOUT = "logout"

    # There is one object of each: its own hash is as good, and asked for with every
    # command.
    __hash__ = object.__hash__


ANY = frozenset({State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED})
LOGGED_IN = frozenset({State.AUTHENTICATED, State.SELECTED})
NOT_LOGGED_IN = frozenset({State.NOT_AUTHENTICATED})
SELECTED = frozenset({State.SELECTED})
