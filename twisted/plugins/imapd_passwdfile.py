"""``--auth passwdfile:PATH``: users from a Dovecot passwd-file."""

from typing import TYPE_CHECKING

from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.cred.strcred import ICheckerFactory
from twisted.plugin import IPlugin
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.cred.checkers import ICredentialsChecker


@implementer(ICheckerFactory, IPlugin)
class PasswdFileCheckerFactory:
    """Users from lines of ``user:{SCHEME}hash:...``, read again when they change."""

    authType = "passwdfile"
    authHelp = (
        "Users from a file in Dovecot's passwd-file syntax:\n"
        "user:{SCHEME}hash:uid:gid:gecos:home:shell:extra fields.\n"
        "A change of the file counts from the next login on.\n"
    )
    argStringFormat = "Path of the file."
    credentialInterfaces = (IUsernamePassword, IUsernameHashedPassword)

    def generateChecker(self, argstring: str) -> "ICredentialsChecker":
        """Make the checker; imports wait until here, so that discovery stays cheap."""
        from imapd.auth.passwdfile import PasswdFileChecker
        from imapd.service.hashing import in_thread

        if not argstring or not argstring.strip():
            raise ValueError("passwdfile needs a path: passwdfile:/etc/imapd/users")
        return PasswdFileChecker(argstring, in_thread)


passwd_file_checker_factory = PasswdFileCheckerFactory()
