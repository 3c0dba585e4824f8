"""Where passwords are verified: few threads, behind others, from the start on."""

import os
import sys
import threading
import unittest
from unittest import mock

from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from imapd.auth.passwdfile import PasswdFileChecker
from imapd.service import hashing
from twisted.plugins.imapd_passwdfile import passwd_file_checker_factory


class HashingTests(TestCase):
    # Hardening: V04.

    def setUp(self) -> None:
        hashing.start()

    def test_no_more_threads_than_processors(self) -> "Deferred[None]":
        # Hardening: A05, V05.
        def judge(threads: list[threading.Thread]) -> None:
            self.assertLessEqual(len(set(threads)), hashing._processors())
            self.assertTrue(all(each.daemon for each in threads))

        with mock.patch.object(threading.Thread, "start", side_effect=AssertionError):
            asked = [hashing.in_thread(threading.current_thread) for _ in range(20)]
        return gatherResults(asked).addCallback(judge)

    @unittest.skipUnless(sys.platform == "linux", "threads have a priority on Linux")
    def test_they_step_back(self) -> "Deferred[None]":
        here = os.getpriority(os.PRIO_PROCESS, 0)
        asked = hashing.in_thread(os.getpriority, os.PRIO_PROCESS, 0)
        return asked.addCallback(self.assertEqual, min(here + hashing._NICE, 19))

    def test_the_checker_of_the_command_line_uses_them(self) -> None:
        checker = passwd_file_checker_factory.generateChecker("/nowhere")
        assert isinstance(checker, PasswdFileChecker)
        self.assertIs(checker._run, hashing.in_thread)
