"""Responses to SEARCH, SORT and THREAD: lines in pieces.  RFC 5256 §4, RFC 5267.

One line has every message of a mailbox: it is sent piece by piece, so that others
have their turn and no client has to be waited for in memory.
"""

from collections.abc import Iterator, Sequence

from imapd.model.threads import NONE, Threads
from imapd.wire.encode import NIL, quoted_or_literal, uid_set

#: Messages of one piece: about a millisecond.
PIECE_MESSAGES = 2048
#: Numbers of one piece where there is nothing else: less than that.
PIECE_NUMBERS = 8192


#   "SEARCH" [1*(SP nz-number) SP search-sort-mod-seq]
#   search-sort-mod-seq = "(" "MODSEQ" SP mod-sequence-value ")"  ; RFC 7162 §7
def search_data(numbers: Sequence[int], modseq: int | None = None) -> Iterator[bytes]:
    """``* SEARCH 2 3 6`` and CRLF; ``* SEARCH`` for none.  RFC 3501 §7.2.5.

    ``modseq`` is as in ``sort_data``.
    """
    return _numbers(b"SEARCH", numbers, modseq)


#   sort-data = "SORT" *(SP nz-number)                      ; RFC 5256 §5
#   sort-data =/ "SORT" [1*(SP nz-number) SP search-sort-mod-seq]  ; RFC 7162 §7
def sort_data(numbers: Sequence[int], modseq: int | None = None) -> Iterator[bytes]:
    """``* SORT 2 84 882`` and CRLF; ``* SORT`` for none.

    ``modseq`` is the highest of the messages, where the client asked by MODSEQ and
    something was found: ``* SORT 2 84 (MODSEQ 917162500)``.  RFC 7162 §3.1.9.
    """
    return _numbers(b"SORT", numbers, modseq)


def _numbers(
    name: bytes, numbers: Sequence[int], modseq: int | None
) -> Iterator[bytes]:
    head = b"* " + name
    end = b"\r\n" if modseq is None else b" (MODSEQ %d)\r\n" % modseq
    for start in range(0, len(numbers), PIECE_NUMBERS):
        words = tuple(numbers[start : start + PIECE_NUMBERS])
        piece = head + b" %d" * len(words) % words
        head = b""
        yield piece + end if start + PIECE_NUMBERS >= len(numbers) else piece
    if head:
        yield head + end


#   search-return-data =/ ret-data-partial
#   ret-data-partial   = "PARTIAL" SP "(" partial-range SP partial-results ")"
#   partial-results    = sequence-set / "NIL"               ; RFC 5267 §5
def esort_data(
    tag: bytes,
    uid: bool,
    pairs: Sequence[tuple[bytes, int]],
    numbers: Sequence[int] | None = None,
    *,
    partial: tuple[int, int] | None = None,
    modseq: int | None = None,
) -> Iterator[bytes]:
    """``* ESEARCH (TAG "a1") UID COUNT 3 ALL 9,4:5`` and CRLF, in the order given.

    ``pairs`` are MIN, MAX and COUNT, the first two only if something was found.
    ``numbers`` is what ALL names, or PARTIAL if there is such a range: without any,
    ALL is left out, and PARTIAL says NIL.  RFC 4731 §3.1, RFC 5267 §4.4.  ``modseq``
    is the highest of the messages told; RFC 4731 §3.2.
    """
    words = [b"* ESEARCH (TAG %b)" % quoted_or_literal(tag)]
    if uid:
        words.append(b"UID")
    words += [b"%b %d" % pair for pair in pairs]
    yield b" ".join(words)
    end = b"\r\n" if modseq is None else b" MODSEQ %d\r\n" % modseq
    if partial is not None:
        yield b" PARTIAL (%d:%d " % partial
        end = b")" + end
        if not numbers:
            yield NIL
    elif numbers:
        yield b" ALL "
    for start in range(0, len(numbers or ()), PIECE_MESSAGES):
        piece = uid_set((numbers or ())[start : start + PIECE_MESSAGES])
        yield b"," + piece if start else piece
    yield end


#   thread-data    = "THREAD" [SP 1*thread-list]
#   thread-list    = "(" (thread-members / thread-nested) ")"
#   thread-members = nz-number *(SP nz-number) [SP thread-nested]
#   thread-nested  = 2*thread-list                          ; RFC 5256 §5
def thread_data(threads: Threads, numbers: Sequence[int]) -> Iterator[bytes]:
    """``* THREAD (2)(3 6 (4 23)(44 7 96))`` and CRLF; ``* THREAD`` for none.

    ``numbers`` are those of the messages.  Threads may be as deep as there are
    messages: what is still to be closed is kept in a list.
    """
    words = ["* THREAD "] if threads.roots else ["* THREAD"]
    for root in threads.roots:
        if root < threads.count and threads.first[root] == NONE:  # most of them
            words.append(f"({numbers[root]})")
        else:
            for _ in _thread_list(threads, numbers, root, words):
                if len(words) >= PIECE_MESSAGES:
                    yield "".join(words).encode("ascii")
                    words.clear()
        if len(words) >= PIECE_MESSAGES:
            yield "".join(words).encode("ascii")
            words.clear()
    words.append("\r\n")
    yield "".join(words).encode("ascii")


def _thread_list(
    threads: Threads, numbers: Sequence[int], root: int, words: list[str]
) -> Iterator[None]:
    """Write one thread, and yield again and again.

    ``heads`` are the first members of the lists that are open, the innermost last.
    """
    first, following, count = threads.first, threads.next, threads.count
    heads: list[int] = []
    node, space = root, "("
    while True:
        if space == "(":
            heads.append(node)
        words.append(f"{space}{numbers[node]}" if node < count else "(")
        yield
        below = first[node]
        if below != NONE:
            space = " " if following[below] == NONE else "("
            if space == "(" and node < count:
                words.append(" ")
            node = below
            continue
        node = NONE
        while node == NONE:  # the list ends, and maybe those around it
            words.append(")")
            yield
            node = following[heads.pop()]
            if not heads:
                return
        space = "("
