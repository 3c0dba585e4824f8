"""Debian's Dovecot 2.3 as a peer."""

import grp
import os
import pwd
import re
from pathlib import Path

from tests.live.base import PortServer
from tests.live.process import Child, other_user, program

# What Dovecot says when it did not like a Maildir.
_COMPLAINT = re.compile(r"Error|Panic|Fatal|broken|renumber|corrupt", re.IGNORECASE)
# What two sessions of Dovecot alone already make it say: a scan of a folder missed
# a file that another session renamed meanwhile, and the next scan found it again.
_RACE = re.compile("Duplicate file entry|Expunged message reappeared")

_CONFIGURATION = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
instance_name = live-{plain}
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5
passdb {{
  driver = passwd-file
  args = {users}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={root}/mail/%u
}}
first_valid_uid = 1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
mail_location = maildir:~/Maildir{location}
mail_fsync = optimized
mail_max_userip_connections = 0
namespace inbox {{
  inbox = yes
  prefix = {prefix}
  separator = {separator}
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {implicit}
  }}
}}
"""


def mail_owner() -> tuple[str, str]:
    """The user and the group that Dovecot finds our mail to belong to."""
    # In the user namespace of other_user() our uid has nobody's number.
    uid, gid = (65534, 65534) if os.getuid() == 0 else (os.getuid(), os.getgid())
    return pwd.getpwuid(uid).pw_name, grp.getgrgid(gid).gr_name


def start(configuration: str, folder: Path, log: Path) -> Child:
    """Start the master process; its configuration goes into ``folder``."""
    file = folder / "dovecot.conf"
    file.write_text(configuration)
    prefix = other_user() if os.getuid() == 0 else ()
    dovecot = program("dovecot") or "dovecot"
    return Child([*prefix, dovecot, "-F", "-c", str(file)], log=log)


class DovecotServer(PortServer):
    """Dovecot with its own configuration; the mail belongs to whoever runs the tests.

    Two of them over one ``root`` need two ``label``s and, unless they are to be
    one server, ``own_indexes``.
    """

    kind = "dovecot"

    def __init__(
        self,
        root: Path,
        *,
        label: str | None = None,
        prefix: str = "",
        separator: str = ".",
        utf8: bool = False,
        own_indexes: bool = False,
    ) -> None:
        """Give the namespace that clients are to see; ``utf8``: of names on disk."""
        super().__init__(root, label=label)
        self._prefix, self._separator = prefix, separator
        self._location = ":UTF-8" if utf8 else ""
        if own_indexes:
            self._location += f":INDEX={self.folder}/indexes/%u"

    def launch(self, plain: int, implicit: int) -> Child:
        user, group = mail_owner()
        text = _CONFIGURATION.format(
            folder=self.folder,
            root=self.root,
            users=self.users,
            certificate=self.authority.certificate,
            key=self.authority.key,
            user=user,
            group=group,
            location=self._location,
            prefix=self._prefix,
            separator=self._separator,
            plain=plain,
            implicit=implicit,
        )
        return start(text, self.folder, self.log_file)

    def complaints(self, *, races: bool = True) -> list[str]:
        """Lines of its log that a healthy Maildir does not cause.

        Without ``races`` those are left out that several sessions of Dovecot at
        work in one folder cause by themselves.
        """
        lines = self.log().splitlines()
        found = [line for line in lines if _COMPLAINT.search(line)]
        if races:
            found += [line for line in lines if _RACE.search(line)]
        else:
            found = [line for line in found if not _RACE.search(line)]
        return found
