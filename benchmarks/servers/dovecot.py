"""Debian's Dovecot 2.3, as it is and with its fast logins."""

import os
from typing import ClassVar

from benchmarks.servers.base import Server
from tests.live import process
from tests.live.dovecot import mail_owner, start
from tests.live.process import Child

_CONFIGURATION = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
instance_name = bench-{plain}
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = plain
auth_cache_size = 10M
passdb {{
  driver = passwd-file
  args = {users}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={mail}/%u
}}
first_valid_uid = 1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
default_client_limit = {clients}
default_vsz_limit = 1G
mail_location = maildir:~/Maildir
mail_fsync = optimized
mail_max_userip_connections = 0
namespace inbox {{
  inbox = yes
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  process_limit = 12000
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {implicit}
  }}
}}
service imap {{
  process_limit = 12000
}}
"""

_FAST = """\
service imap-login {
  service_count = 0
  process_min_avail = 2
  process_limit = 4
}
service imap {
  service_count = 256
  process_min_avail = 4
}
"""
_MOST_CLIENTS = 15000


class Dovecot(Server):
    """With the settings of the package wherever they matter to speed."""

    name = "dovecot"
    extra: ClassVar[str] = ""

    @classmethod
    def missing(cls) -> str | None:
        """Whether it is installed, and may serve our mail."""
        return process.missing("dovecot")

    def launch(self, plain: int, implicit: int) -> Child:
        """Start the master process."""
        user, group = mail_owner()
        text = _CONFIGURATION.format(
            folder=self.folder,
            mail=self.mail,
            users=self.users,
            certificate=self.authority.certificate,
            key=self.authority.key,
            user=user,
            group=group,
            clients=min(os.sysconf("SC_OPEN_MAX") * 9 // 10, _MOST_CLIENTS),
            plain=plain,
            implicit=implicit,
        )
        return start(text + self.extra, self.folder, self.log_file)


class FastDovecot(Dovecot):
    """Few long-lived login processes, and IMAP processes that are used again."""

    name = "dovecot-fast"
    extra = _FAST
