"""The handlers, a file for each group of commands; importing them fills the table."""

from types import ModuleType

from imapd.server.commands import (
    any_state,
    append,
    copy,
    fetch,
    folders,
    idle,
    listing,
    login,
    search,
    select,
    sort,
    store,
)

GROUPS: tuple[ModuleType, ...] = (
    any_state,
    append,
    copy,
    fetch,
    folders,
    idle,
    listing,
    login,
    search,
    select,
    sort,
    store,
)
