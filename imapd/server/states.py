"""The states of a session, and the sets of them that commands belong to."""

from enum import Enum


class State(Enum):
    """RFC 3501 §3; the values are the stock protocol's names for them."""

    NOT_AUTHENTICATED = "unauth"
    AUTHENTICATED = "auth"
    SELECTED = "select"
    LOGOUT = "logout"


ANY = frozenset({State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED})
LOGGED_IN = frozenset({State.AUTHENTICATED, State.SELECTED})
NOT_LOGGED_IN = frozenset({State.NOT_AUTHENTICATED})
SELECTED = frozenset({State.SELECTED})
