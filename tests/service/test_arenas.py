"""Threads take memory from the same few places."""

import ctypes
import unittest
from pathlib import Path

from tests.support.scripts import printed

#: Serves nobody; many threads hold memory at once, and the places are counted.
COUNT = """
import ctypes, sys, tempfile, threading
from unittest import mock

from imapd.service import serving

library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.fopen.restype = ctypes.c_void_p
library.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
library.fclose.argtypes = [ctypes.c_void_p]
taken = threading.Barrier(9)


def take():
    library.malloc(50_000)
    taken.wait(20)


class Threads:
    def start(self):
        self.threads = [threading.Thread(target=take) for _ in range(8)]
        for each in self.threads:
            each.start()


threads = Threads()
server = mock.Mock(spec=serving.Serving)
server._threads = threads
with (
    mock.patch.object(serving, "portion"),
    mock.patch.object(serving.hashing, "start"),
):
    server._watchdog, server._reactor = mock.Mock(), mock.Mock()
    serving.Serving.start(server)
taken.wait(20)
with tempfile.NamedTemporaryFile("r") as file:
    stream = library.fopen(file.name.encode(), b"w")
    library.malloc_info(0, stream)
    library.fclose(stream)
    print(file.read().count("<heap "))
for each in threads.threads:
    each.join()
"""


@unittest.skipUnless(hasattr(ctypes.CDLL(None), "malloc_info"), "no malloc_info()")
class ArenaTests(unittest.TestCase):
    def arenas(self, **more: str) -> int:
        """How many a process has whose threads were started as a server's are."""
        return int(printed(COUNT, **more))

    def test_there_are_two(self) -> None:
        self.assertLessEqual(self.arenas(), 2)

    def test_an_administrator_may_want_more(self) -> None:
        for words in (
            {"MALLOC_ARENA_MAX": "6"},
            {"GLIBC_TUNABLES": "glibc.malloc.arena_max=6"},
        ):
            self.assertGreater(self.arenas(**words), 2, words)


#: What is free below something that stays: 40 MB, in pieces that come from an arena.
FREED = """
import ctypes

from imapd.service import arenas

library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.free.argtypes = [ctypes.c_void_p]
library.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


pieces = [library.malloc(40_000) for _ in range(1000)]
for each in pieces:
    library.memset(each, 1, 40_000)
for each in pieces[:-1]:
    library.free(each)
before = resident()
arenas.give_back()
print(before - resident())
"""


@unittest.skipUnless(hasattr(ctypes.CDLL(None), "malloc_trim"), "no malloc_trim()")
@unittest.skipUnless(Path("/proc/self/statm").exists(), "no /proc")
class GiveBackTests(unittest.TestCase):
    def test_what_is_free_is_the_systems_again(self) -> None:
        self.assertGreater(int(printed(FREED)), 30_000_000)
