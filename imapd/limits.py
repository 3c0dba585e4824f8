"""Every bound that one connection, one command or one message is held to."""

from dataclasses import dataclass, field
from typing import Any


def setting(default: int, *, least: int, source: str) -> Any:
    """Declare one limit: its default, its least value and where that comes from."""
    return field(default=default, metadata={"least": least, "source": source})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one connection may cost us.  The unit is the last word of each name."""

    preauth_line_octets: int = setting(8192, least=1024, source="RFC 2683 §3.2.1.5")
    preauth_literal_octets: int = setting(1024, least=128, source="a name, a password")
    preauth_literal_count: int = setting(2, least=2, source="LOGIN user password")
    preauth_nesting_depth: int = setting(1, least=1, source="ID (...)")
    preauth_bad_commands: int = setting(3, least=1, source="hardening P24")
    preauth_seconds: int = setting(60, least=10, source="hardening P21; absolute")
    command_octets: int = setting(65536, least=8192, source="RFC 7162 §4")
    literal_octets: int = setting(102400, least=4096, source="hardening P09")
    literals_octets: int = setting(1 << 20, least=4096, source="hardening P09")
    literal_count: int = setting(1000, least=16, source="hardening P09")
    nesting_depth: int = setting(32, least=4, source="hardening P11")
    list_item_count: int = setting(10000, least=100, source="hardening P11")
    search_key_count: int = setting(500, least=50, source="hardening P13")
    bad_commands: int = setting(20, least=3, source="hardening P24")
    tag_octets: int = setting(64, least=16, source="hardening P24")
    sasl_line_octets: int = setting(8192, least=1024, source="hardening P06")
    sasl_attempts: int = setting(10, least=1, source="logins refused, then BYE")
    append_octets: int = setting(50 << 20, least=1024, source="sent as APPENDLIMIT")
    append_total_octets: int = setting(500 << 20, least=1024, source="MULTIAPPEND")
    append_message_count: int = setting(1000, least=1, source="MULTIAPPEND")
    queued_commands: int = setting(4, least=1, source="hardening V07")
    output_octets: int = setting(65536, least=4096, source="hardening V01")
    output_stall_seconds: int = setting(300, least=10, source="hardening V01")
    idle_seconds: int = setting(1800, least=1800, source="RFC 3501 §5.4")
    keyword_octets: int = setting(64, least=16, source="hardening P18")
    keyword_count: int = setting(1000, least=26, source="a mailbox; hardening F09")
    mailbox_name_octets: int = setting(1000, least=100, source="hardening F08")
    mailbox_component_octets: int = setting(250, least=32, source="NAME_MAX 255")
    mailbox_depth: int = setting(32, least=2, source="hardening F08")
    mailbox_count: int = setting(10000, least=10, source="hardening F09")
    subscription_count: int = setting(10000, least=10, source="hardening F09")
    id_pair_count: int = setting(30, least=1, source="RFC 2971 §3.3")
    mime_depth: int = setting(100, least=10, source="hardening P16")
    mime_parts: int = setting(10000, least=100, source="hardening P16")
    header_octets: int = setting(10 << 20, least=65536, source="hardening P17")
    header_field_octets: int = setting(1 << 20, least=8192, source="hardening P17")
    address_count: int = setting(10000, least=100, source="hardening P17")
    parameter_count: int = setting(128, least=16, source="hardening P17")
    user_address_connections: int = setting(20, least=1, source="a user and address")
    user_connections: int = setting(50, least=1, source="hardening V06")
    address_connections: int = setting(100, least=1, source="hardening V06")
    lock_seconds: int = setting(30, least=1, source="hardening D18")

    def __post_init__(self) -> None:
        """Refuse a value under its least; the message names the limit."""
        for name, spec in self.__dataclass_fields__.items():
            least = spec.metadata["least"]
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}")


DEFAULT_LIMITS = Limits()
