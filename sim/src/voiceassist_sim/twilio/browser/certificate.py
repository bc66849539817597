"""A certificate for the host names of Twilio that a browser meets, made anew at each start and signed by itself."""

from __future__ import annotations

import base64
import datetime
import hashlib
import ssl
import tempfile
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAMES: Final = (
    "*.twilio.com",
    "*.us1.twilio.com",
    "*.flex.twilio.com",
    "*.roaming.twilio.com",
    "*.twiliocdn.com",
    "*.twil.io",
    "localhost",
)
DAYS: Final = 30


class Certificate:
    """A key pair that lives in memory. ``spki_hash`` is what Chromium's ``--ignore-certificate-errors-spki-list`` takes."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        public = self._key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.spki_hash = base64.b64encode(hashlib.sha256(public).digest()).decode()
        now = datetime.datetime.now(datetime.UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "voiceassist-sim")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=DAYS))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in NAMES]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        """The certificate, for clients that trust by a file (``NODE_EXTRA_CA_CERTS``)."""

    def context(self) -> ssl.SSLContext:
        """A server's TLS context with this certificate."""
        key = self._key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory(prefix="voiceassist-sim-") as folder:  # the standard library reads keys from files only
            path = Path(folder) / "pair.pem"
            path.touch(mode=0o600)
            path.write_text(key + self.pem)
            context.load_cert_chain(path)
        return context
