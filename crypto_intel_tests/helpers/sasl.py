"""A broker that wants SASL over TLS, as Confluent Cloud does: its certificate, its listener and its users."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from crypto_intel.contracts.settings import Kafka
from crypto_intel.stack.kafka import admin

USER = "streaming"
PASSWORD = 'pass "word" \\ 1'
"""With what must be quoted in a JAAS file."""

_PROPERTIES = """
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SASL_SSL://127.0.0.1:{sasl}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{sasl}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.ssl.keystore.type=PEM
listener.name.sasl_ssl.ssl.keystore.location={keystore}
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
  user_{user}="{password}";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\\
  org.apache.kafka.common.security.scram.ScramLoginModule required;
"""


@dataclass(frozen=True)
class Ports:
    """Of the broker: for its own administration, for its controller, and for clients."""

    plain: int
    controller: int
    sasl: int


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate of 127.0.0.1: (key and certificate, certificate), both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    keystore, ca_file = folder / "broker.pem", folder / "ca.pem"
    keystore.write_bytes(secret + public)
    ca_file.write_bytes(public)
    return keystore, ca_file


def properties(ports: Ports, keystore: Path) -> str:
    """What the broker's configuration needs more."""
    quoted = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')  # for JAAS
    return _PROPERTIES.format(
        port=ports.plain,
        controller=ports.controller,
        sasl=ports.sasl,
        keystore=keystore,
        user=USER,
        password=quoted.replace("\\", "\\\\"),  # for a properties file
    )


def add_scram_user(bootstrap: str) -> None:
    """Tell the broker of the user; PLAIN's stands in its configuration."""
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    change = UserScramCredentialUpsertion(USER, info, PASSWORD.encode())
    client = admin(bootstrap)  # ends with its last name
    for future in client.alter_user_scram_credentials([change]).values():
        future.result(30)


def settings(ports: Ports, ca_file: Path, mechanism: str) -> Kafka:
    """How a client reaches the broker."""
    return Kafka(
        bootstrap=f"127.0.0.1:{ports.sasl}",
        security_protocol="SASL_SSL",
        sasl_mechanism=mechanism,  # type: ignore[arg-type]
        username=USER,
        password=SecretStr(PASSWORD),
        ca_file=ca_file,
    )
