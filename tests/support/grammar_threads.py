"""``thread-data`` and ``ret-data-partial``, strictly.  RFC 5256 §5, RFC 5267 §5."""

from typing import Any

from tests.support.grammar_cursor import Cursor
from tests.support.grammar_text import number_set

#: A thread: its members, and behind them the threads that it parts into.
Thread = list[Any]


def thread_data(cursor: Cursor) -> list[Thread]:
    """``[SP 1*thread-list]``; of any depth, so without recursion.

    No message is in it twice: it could not have two parents.
    """
    threads: list[Thread] = []
    if not cursor.at(b" "):
        return threads
    cursor.skip(b" ")
    seen: set[int] = set()
    opened = [threads]
    while len(opened) > 1 or cursor.at(b"("):
        if cursor.at(b"("):
            cursor.skip(b"(")
            thread: Thread = []
            opened[-1].append(thread)
            opened.append(thread)
            if cursor.at_digit():
                _members(cursor, thread, seen)
            elif not cursor.at(b"("):
                raise cursor.wrong("thread-members or thread-nested")
        else:
            if sum(isinstance(each, list) for each in opened[-1]) == 1:
                raise cursor.wrong("two thread-lists, or none")
            cursor.skip(b")")
            opened.pop()
    if not threads:
        raise cursor.wrong("a thread-list")
    return threads


def _members(cursor: Cursor, thread: Thread, seen: set[int]) -> None:
    """``nz-number *(SP nz-number) [SP]``: after the last space comes a list."""
    while cursor.at_digit():
        start = cursor.position
        number = cursor.nz_number()
        if number in seen:
            raise cursor.wrong("a message once", start)
        seen.add(number)
        thread.append(number)
        if not cursor.at(b" "):
            if not cursor.at(b")"):
                raise cursor.wrong("a space or the end of the thread-list")
            return
        cursor.skip(b" ")
    if not cursor.at(b"("):
        raise cursor.wrong("a number or a thread-list")


def partial_data(cursor: Cursor) -> tuple[int, int, Any]:
    """``"(" partial-range SP partial-results ")"``."""
    cursor.skip(b"(")
    first = cursor.nz_number()
    cursor.skip(b":")
    last = cursor.nz_number()
    cursor.skip(b" ")
    found = cursor.nil_or(number_set)
    cursor.skip(b")")
    return first, last, found
