"""A throw-away certificate authority for tests: keys are made in memory, fast."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def make_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Key, passphrase: bytes | None = None) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption(),
    )


def certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


class Authority:
    """Signs server certificates for 127.0.0.1 and localhost."""

    def __init__(self, common_name: str = "Test CA", days: int = 30) -> None:
        self.key = make_key()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        self.certificate = self._sign(name, name, self.key, authority=True, days=days)

    def _sign(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        key: Key,
        *,
        authority: bool,
        days: int,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            # Python 3.13 and later insist on the three that follow.
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(
                    self.key.public_key()
                ),
                False,
            )
            .add_extension(_usage(authority), critical=True)
        )
        if not authority:
            names = [
                x509.DNSName("localhost"),
                x509.IPAddress(ip_address("127.0.0.1")),
            ]
            builder = builder.add_extension(
                x509.SubjectAlternativeName(names), critical=False
            )
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, key: Key, days: int = 30) -> x509.Certificate:
        """A server certificate for ``key``; a negative ``days`` has expired."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        return self._sign(
            subject, self.certificate.subject, key, authority=False, days=days
        )

    def write(
        self, folder: Path, days: int = 30, key: Key | None = None
    ) -> x509.Certificate:
        """Write ``cert.pem`` (with chain), ``key.pem`` and ``ca.pem``."""
        key = key or make_key()
        certificate = self.issue(key, days)
        (folder / "cert.pem").write_bytes(
            certificate_pem(certificate) + certificate_pem(self.certificate)
        )
        (folder / "key.pem").write_bytes(key_pem(key))
        (folder / "ca.pem").write_bytes(certificate_pem(self.certificate))
        return certificate
