"""Our mailboxes as Twisted's mail interfaces."""

from imapd.mailbox.api import MailAccount


class ImapAccount:
    """An account of ours."""

    def __init__(self, mail_account: MailAccount) -> None:
        self.mail_account = mail_account
