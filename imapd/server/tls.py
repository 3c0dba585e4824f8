"""The TLS that implicit TLS and STARTTLS share: one certificate, reloadable.

A connection is made from the context that is current when it begins, so that a
reload reaches new connections and leaves those that run alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.interfaces import (
    IOpenSSLContextFactory,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
)
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from imapd.server import outlet, tlsmemory

_log = Logger(namespace="imapd.tls")

#: As registered with IANA under RFC 7301.
ALPN_NAME = b"imap"

LEAST_RSA_BITS = 2048
#: Buffers that had no more in them are not worth the work.
_SMALL_OCTETS = 1024

# AEAD with an ephemeral key exchange only (RFC 9325 §4.2).  TLS 1.3 has nothing else.
_CIPHERS = b":".join(
    b"ECDHE-%b-%b" % (key, cipher)
    for cipher in (b"AES128-GCM-SHA256", b"AES256-GCM-SHA384", b"CHACHA20-POLY1305")
    for key in (b"ECDSA", b"RSA")
)

_OPTIONS = (
    SSL.OP_ALL
    | SSL.OP_CIPHER_SERVER_PREFERENCE
    | SSL.OP_NO_COMPRESSION
    | SSL.OP_NO_RENEGOTIATION
    | SSL.OP_NO_TICKET
)

_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class OtherProtocolOffered(SSL.Error):
    """The client offered ALPN names, and ``imap`` is not one of them.

    It is an ``SSL.Error`` because Twisted ends the connection with an alert only
    for those; OpenSSL has chosen ``no_application_protocol``.  RFC 7301 §3.2.
    """


class TlsProtocol(TLSMemoryBIOProtocol):
    """Twisted's, without gathering: our connections write what belongs together.

    The buffers that a handshake or a large message leaves behind are given back as
    soon as something small comes: a client's next command, mostly IDLE.
    """

    _has_grown = True
    _holds = False

    @contextmanager
    def together(self) -> Iterator[None]:
        """Send what is said in the block in one piece, after it."""
        self._holds = True
        try:
            yield
        finally:
            self._holds = False
            if self._tlsConnection is not None:
                self._flushSendBIO()

    def dataReceived(self, bytes: bytes) -> None:  # noqa: N802 - Twisted's names
        """Take octets of TLS."""
        super().dataReceived(bytes)
        if len(bytes) > _SMALL_OCTETS:
            self._has_grown = True
        elif self._has_grown and self._handshakeDone:
            self._has_grown = False
            tlsmemory.give_back(self._tlsConnection)

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:  # noqa: N802
        # Private; where a later Twisted does not call it, only the collector of
        # garbage has more to do.  What was raised leads to the frame that caught it,
        # and that one back: all that the connection held would wait for the collector.
        if reason is not None:
            reason.cleanFailure()
        super()._tlsShutdownFinished(reason)

    def _flushSendBIO(self) -> None:  # noqa: N802 - Twisted's name
        # Private; where a later Twisted does not call it, only the haste is lost.
        if self._holds:
            return
        while octets := tlsmemory.take(self._tlsConnection):
            if len(octets) > _SMALL_OCTETS:
                self._has_grown = True
            outlet.write(self.transport, octets)
            if len(octets) < tlsmemory.TAKEN_OCTETS:
                return  # that was all


@implementer(IOpenSSLServerConnectionCreator, IOpenSSLContextFactory)
class TlsContext:
    """One certificate with its key, for every connection we serve.

    It may be given to ``startTLS`` and to ``TLSMemoryBIOFactory``, and, as a
    context factory of the old kind, to the stock ``IMAP4Server``.
    """

    def __init__(self, certificate: Path, key: Path | None = None) -> None:
        """Remember where the PEM files are; ``load`` reads them.

        Args:
            certificate: the server's certificate first, then its chain.
            key: not encrypted; None: it is in the file of the certificate.
        """
        self.certificate = certificate
        self.key = certificate if key is None else key
        self._context: SSL.Context | None = None
        #: What is in use, as it was in the files: the chain, and the key.
        self.pem = (b"", b"")
        #: Of the certificate in use, in hexadecimal; "" before ``load``.
        self.serial = ""

    def load(self) -> None:
        """Read both files and use them from the next connection on.

        Raises:
            ValueError: with the file and what is wrong with it.  What was in use
                before stays in use.
        """
        self.use(_read(self.certificate), _read(self.key))
        self._warn_of_dates()

    def use(self, chain_pem: bytes, key_pem: bytes) -> None:
        """Use what was read from the files, here or by another process.

        Raises:
            ValueError: as ``load`` does.
        """
        chain = _parse_chain(self.certificate, chain_pem)
        key = _parse_key(self.key, key_pem)
        try:
            belongs = _belongs(key, chain[0])
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ValueError(
                f"{self.certificate}: its public key cannot be used: {error}"
            ) from error
        if not belongs:
            other = _belongs_to_another(key, chain[1:])
            why = (
                f"the certificate of this key is not the first one in {self.key}"
                if other
                else f"the key in {self.key} does not belong to it"
            )
            raise ValueError(f"{self.certificate}: {why}")
        try:
            self._context = _make_context(chain, key)
        except SSL.Error as error:
            raise ValueError(
                f"{self.certificate}: OpenSSL refuses it: {_reasons(error)}"
            ) from error
        self.pem = (chain_pem, key_pem)
        self._leaf = chain[0]
        self.serial = f"{chain[0].serial_number:x}"

    def reload(self) -> bool:
        """Read the files again; keep what is in use if they are no good.

        Returns whether the new files are in use.  The log says why not.
        """
        try:
            self.load()
        except ValueError as error:
            _log.error(
                "certificate not reloaded, the old one stays in use: {reason}",
                reason=str(error),
            )
            return False
        return True

    def getContext(self) -> SSL.Context:  # noqa: N802 - Twisted's name
        """The context to make the next connection from.

        Raises:
            ValueError: as ``load`` does, if nothing was loaded yet.
        """
        if self._context is None:
            self.load()
        assert self._context is not None
        return self._context

    def serverConnectionForTLS(  # noqa: N802 - Twisted's name
        self,
        tlsProtocol: TLSMemoryBIOProtocol,  # noqa: N803
    ) -> SSL.Connection:
        """Make one connection of the server's side, on memory buffers."""
        return SSL.Connection(self.getContext(), None)

    def wrap(self, factory: IProtocolFactory) -> TLSMemoryBIOFactory:
        """A factory for implicit TLS over ``factory``.  RFC 8314 §3.2."""
        wrapping = TLSMemoryBIOFactory(self, False, factory)
        wrapping.protocol = TlsProtocol
        return wrapping

    def _warn_of_dates(self) -> None:
        """An expired certificate is served: a client may still want to see it."""
        leaf = self._leaf
        now = datetime.now(UTC)
        if leaf.not_valid_after_utc < now:
            _log.warn(
                "the certificate in {path} expired on {date}",
                path=str(self.certificate),
                date=leaf.not_valid_after_utc.isoformat(),
            )
        elif leaf.not_valid_before_utc > now:
            _log.warn(
                "the certificate in {path} is not valid before {date}",
                path=str(self.certificate),
                date=leaf.not_valid_before_utc.isoformat(),
            )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error


def _parse_chain(path: Path, pem: bytes) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ValueError(f"{path}: no PEM certificate can be read from it") from error


def _parse_key(path: Path, pem: bytes) -> _PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise ValueError(
            f"{path}: the key is encrypted; store it without a passphrase, mode 0600"
        ) from error
    except Exception as error:  # whatever the parser makes of a file that is no key
        raise ValueError(f"{path}: no PEM private key can be read from it") from error
    if not isinstance(key, _PrivateKey):
        raise ValueError(f"{path}: the key is neither RSA, ECDSA nor Ed25519")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < LEAST_RSA_BITS:
        raise ValueError(
            f"{path}: the RSA key has {key.key_size} bits; "
            f"at least {LEAST_RSA_BITS} are needed"
        )
    return key


def _belongs(key: _PrivateKey, certificate: x509.Certificate) -> bool:
    return certificate.public_key() == key.public_key()


def _belongs_to_another(
    key: _PrivateKey, certificates: Sequence[x509.Certificate]
) -> bool:
    for each in certificates:
        with suppress(ValueError, UnsupportedAlgorithm):  # it is not the one, then
            if _belongs(key, each):
                return True
    return False


def _reasons(error: SSL.Error) -> str:
    """``ee key too small``, of a queue of (library, function, reason)."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(str(each[-1]) for each in queue) or repr(error)


def _make_context(chain: Sequence[x509.Certificate], key: _PrivateKey) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(_OPTIONS)
    context.set_cipher_list(_CIPHERS)
    # An idle connection gives its 34 KB of buffers back; nothing is kept for
    # sessions that may be resumed, so that memory follows open connections only.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_alpn_select_callback(_select_alpn)
    context.use_certificate(chain[0])
    for each in chain[1:]:
        context.add_extra_chain_cert(each)
    context.use_privatekey(key)
    return context


def _select_alpn(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    """Accept ``imap`` and refuse anything else, so that no browser is answered.

    Not called for a client that offers nothing, which is accepted.
    """
    if ALPN_NAME in offered:
        return ALPN_NAME
    raise OtherProtocolOffered([("imapd", "ALPN", "no imap in what was offered")])
