"""Every bound that one connection, one command or one message is held to."""

from dataclasses import dataclass, field
from typing import Any


def setting(default: int, *, least: int, source: str) -> Any:
    """Declare one limit: its default, its least value, and what it bounds and why."""
    return field(default=default, metadata={"least": least, "source": source})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one connection may cost us.  The unit is the last word of each name."""

    preauth_line_octets: int = setting(
        8192, least=1024, source="a command line before login; RFC 2683 §3.2.1.5"
    )
    preauth_literal_octets: int = setting(
        1024, least=128, source="a literal before login: a name, a password"
    )
    preauth_literal_count: int = setting(
        2, least=2, source="literals in a command before login: LOGIN has two"
    )
    preauth_bad_commands: int = setting(
        3, least=1, source="in a row before login, then BYE"
    )
    preauth_seconds: int = setting(
        60, least=10, source="from the connection to the login, whatever is sent"
    )
    handshake_seconds: int = setting(
        20, least=5, source="of TLS, from the connection or from STARTTLS on"
    )
    preauth_connections: int = setting(
        2000,
        least=10,
        source="without a login; the oldest gives way to one more",
    )
    command_octets: int = setting(
        65536, least=8192, source="a command without its literals; RFC 7162 §4"
    )
    literal_octets: int = setting(
        102400, least=4096, source="a literal that is held in memory"
    )
    literals_octets: int = setting(
        1 << 20, least=4096, source="the literals of one command, in memory"
    )
    literal_count: int = setting(
        1000, least=16, source="literals of one command, in memory"
    )
    nesting_depth: int = setting(32, least=4, source="parentheses within parentheses")
    list_item_count: int = setting(
        10000, least=100, source="items in one pair of parentheses"
    )
    search_key_count: int = setting(500, least=50, source="keys of one SEARCH")
    bad_commands: int = setting(20, least=3, source="in a row, then BYE")
    tag_octets: int = setting(64, least=16, source="a tag")
    sasl_line_octets: int = setting(
        8192, least=1024, source="one response of a SASL exchange"
    )
    sasl_attempts: int = setting(
        10, least=1, source="refused on one connection before login, then BYE"
    )
    append_octets: int = setting(
        50 << 20,
        least=1024,
        source="one message of APPEND; told as APPENDLIMIT, RFC 7889",
    )
    append_total_octets: int = setting(
        500 << 20, least=1024, source="all messages of one APPEND; RFC 3502"
    )
    append_message_count: int = setting(
        1000, least=1, source="messages of one APPEND; RFC 3502"
    )
    ahead_octets: int = setting(
        65536, least=4096, source="what a client may send while its command runs"
    )
    output_stall_seconds: int = setting(
        300, least=10, source="until a client that reads nothing is dropped"
    )
    idle_seconds: int = setting(
        1800, least=1800, source="until a silent client is logged out; RFC 3501 §5.4"
    )
    keyword_octets: int = setting(64, least=16, source="the name of a keyword")
    keyword_count: int = setting(1000, least=26, source="keywords of one mailbox")
    mailbox_name_octets: int = setting(1000, least=100, source="a whole name, as sent")
    mailbox_component_octets: int = setting(
        250, least=32, source="one level of a name, as on disk; NAME_MAX is 255"
    )
    mailbox_depth: int = setting(32, least=2, source="levels of a name")
    mailbox_count: int = setting(10000, least=10, source="mailboxes of one account")
    subscription_count: int = setting(
        10000, least=10, source="subscriptions of one account"
    )
    id_pair_count: int = setting(30, least=1, source="fields of one ID; RFC 2971 §3.3")
    mime_depth: int = setting(100, least=10, source="parts within parts of a message")
    mime_parts: int = setting(
        10000, least=100, source="parts of a message that are looked into"
    )
    header_octets: int = setting(
        10 << 20,
        least=65536,
        source="a message's header, as far as it is parsed, for SEARCH too; "
        "those of all its parts",
    )
    header_field_octets: int = setting(
        1 << 20, least=8192, source="one header field, as far as it is parsed"
    )
    address_count: int = setting(
        10000,
        least=100,
        source="addresses of one field in ENVELOPE; fields of one name in SEARCH",
    )
    address_word_count: int = setting(
        300_000,
        least=10000,
        source="addresses, or words of unusual ones, in all envelopes of a message",
    )
    parameter_count: int = setting(128, least=16, source="parameters of one MIME field")
    user_address_connections: int = setting(
        20, least=1, source="of one user from one address; of IPv6 one /64"
    )
    user_connections: int = setting(50, least=1, source="of one user")
    address_connections: int = setting(
        100, least=1, source="from one address; of IPv6 one /64"
    )
    prefix56_attempts: int = setting(
        480,
        least=240,
        source="logins refused in an hour, from one IPv6 /56; a /64 has 240",
    )
    prefix48_attempts: int = setting(
        960,
        least=240,
        source="logins refused in an hour, from one IPv6 /48; others wait beyond that",
    )
    lock_seconds: int = setting(
        30, least=1, source="how long to wait for a mailbox that others lock"
    )

    def __post_init__(self) -> None:
        """Refuse a value under its least; the message names the limit."""
        for name, spec in self.__dataclass_fields__.items():
            least = spec.metadata["least"]
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}")


DEFAULT_LIMITS = Limits()
