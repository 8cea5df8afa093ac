"""A certificate authority for tests, and servers that prove their names by it."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from desktop_sandbox.network.far_end import http_context

MAY_SIGN_CERTIFICATES = x509.KeyUsage(
    key_cert_sign=True, crl_sign=True, digital_signature=False, content_commitment=False, key_encipherment=False,
    data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
)  # fmt: skip


class Authority:
    """Signs certificates; its own is trusted by whoever uses `trust`."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of the tests")])
        # Python 3.13 and later want an authority's certificate to say what it may be used for
        self._certificate = self._sign(
            self._name, self._key.public_key(), x509.BasicConstraints(True, None), MAY_SIGN_CERTIFICATES
        )

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        begun = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        begun = begun.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        begun = begun.not_valid_after(now + datetime.timedelta(days=1))
        begun = begun.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        begun = begun.add_extension(issuer, False)
        for extension in extensions:
            begun = begun.add_extension(extension, isinstance(extension, (x509.BasicConstraints, x509.KeyUsage)))
        return begun.sign(self._key, hashes.SHA256())

    def trust(self) -> ssl.SSLContext:
        """What the gateway uses instead of the host's authorities."""
        return http_context(self._certificate.public_bytes(serialization.Encoding.PEM).decode())

    def server(self, folder: Path, name: str) -> ssl.SSLContext:
        """TLS of a server of this name."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key.public_key(), x509.SubjectAlternativeName([x509.DNSName(name)]))
        path = folder / f"{name}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context
