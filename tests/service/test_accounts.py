"""From the user record to the Maildir: what does not fit is refused, always."""

import os
import shutil
import tempfile
import unittest
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.mail.interfaces import IAccountIMAP
from twisted.trial.unittest import SynchronousTestCase

from imapd.auth.avatar import AvatarId
from imapd.errors import Unavailable
from imapd.mailbox.accounts import Accounts
from imapd.mailbox.threads import InlineWorkers
from imapd.mailbox.watch import PollingWatch
from imapd.server.realm import MailRealm
from imapd.service.accounts import locate, maildir_of
from imapd.service.config import Config
from imapd.service.templates import MailTemplate, NoMailLocation

#: ``mail`` of records with the home ``/home/al`` -> the Maildir.
GOOD_MAIL = {
    "absolute": ("maildir:/m/al", "/m/al"),
    "home": ("maildir:~", "/home/al"),
    "below home": ("maildir:~/Maildir", "/home/al/Maildir"),
}
BAD_MAIL = {
    "mbox": "mbox:~/mail",
    "no kind": "/m/al",
    "options": "maildir:~/Maildir:INDEX=/i",
    "variables": "maildir:/m/%u",
    "relative": "maildir:mail",
    "nothing": "maildir:",
    "other home": "maildir:~bob/Maildir",
    "parent": "maildir:/m/../x",
    "parent of home": "maildir:~/../bob",
    "braces": "maildir:~/{nonsense}",
    "open brace": "maildir:~/{user",
}


class MaildirOfTests(unittest.TestCase):
    config = Config(mail=MailTemplate("/m/{user}"), auth=())

    def test_good(self) -> None:
        for name, (mail, path) in GOOD_MAIL.items():
            avatar = AvatarId(b"al", home="/home/al", mail=mail)
            self.assertEqual(str(maildir_of(self.config, avatar)), path, name)

    def test_bad(self) -> None:
        # Hardening: F02.
        for name, mail in BAD_MAIL.items():
            avatar = AvatarId(b"al", home="/home/al", mail=mail)
            with self.assertRaises(NoMailLocation, msg=name):
                maildir_of(self.config, avatar)


@unittest.skipIf(os.geteuid() != 0, "only root can give files away")
class OwnerTests(SynchronousTestCase):
    def test_an_account_that_is_open_is_held_to_every_owner(self) -> None:
        """The record's uid counts too where somebody else has the mail open."""
        # Hardening: A15.
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        config = Config(mail=MailTemplate("/m/{user}"), auth=())
        accounts = Accounts(InlineWorkers(), PollingWatch(Clock()))
        realm = MailRealm(accounts, partial(locate, config))
        mail = f"maildir:{folder}/Maildir"
        Path(folder, "Maildir", "cur").mkdir(parents=True)
        os.chown(Path(folder, "Maildir"), 12345, -1)

        def ask(name: bytes, uid: int) -> "Deferred[Any]":
            avatar = AvatarId(name, mail=mail, uid=uid)
            return realm.requestAvatar(avatar, None, IAccountIMAP)

        _, _, logout = self.successResultOf(ask(b"one", 12345))
        self.failureResultOf(ask(b"two", 23456), Unavailable)
        _, _, again = self.successResultOf(ask(b"alias", 12345))
        for each in (logout, again):
            self.successResultOf(each())
        self.assertEqual((accounts._open, accounts._locks), ({}, {}))
