"""Debian's Squid as the only way out: it alone reaches the stand-ins, and can look into what goes by."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proxies.apart import CLOUDS, PROXY, PROXY_PORT, Apart
from proxies.proxies import Proxies, Proxy, found

CERTIFICATES = "/usr/lib/squid/security_file_certgen"
USER = "proxy"


@dataclass(frozen=True)
class Squid:
    """A Squid that runs, and what it has noted: one line for each connection."""

    proxy: Proxy
    access: Path

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{PROXY}:{self.proxy.port}"

    def requests(self) -> list[str]:
        """Method and target of what it was asked, in order."""
        return [" ".join(line.split()[5:7]) for line in self.access.read_text().splitlines()]


@contextlib.asynccontextmanager
async def squid(
    between: Apart, names: list[str], *, inspecting: tuple[Path, Path] | None = None, trusts: Path | None = None
) -> AsyncIterator[Squid]:
    """Starts Squid in its namespace, where it knows these names as the clouds'.

    `inspecting`: the certificate and the key of an authority by which it looks into TLS; it then trusts `trusts`.
    """
    folder = Path(tempfile.mkdtemp(prefix="squid."))  # pytest's own folders are nobody else's, and Squid is another user
    try:
        (folder / "hosts").write_text("".join(f"{CLOUDS} {name}\n" for name in names))
        bump = ""
        if inspecting is not None:
            (folder / "authority.pem").write_text(inspecting[0].read_text() + inspecting[1].read_text())
            shutil.copy(trusts or inspecting[0], folder / "trusted.pem")
            bump = f" ssl-bump generate-host-certificates=on dynamic_cert_mem_cache_size=4MB tls-cert={folder}/authority.pem"
        lines = [
            f"http_port {PROXY}:{PROXY_PORT}{bump}",
            f"hosts_file {folder}/hosts",
            f"acl ours dstdomain {' '.join(names)}",
            "http_access allow ours",
            "http_access deny all",
            "http_upgrade_request_protocols websocket allow all",
            "cache deny all",
            "cache_mem 8 MB",
            "max_filedescriptors 1024",
            "shutdown_lifetime 0 seconds",
            "pid_filename none",
            "pinger_enable off",
            f"coredump_dir {folder}",
            f"cache_log {folder}/squid.log",
            f"access_log stdio:{folder}/access.txt",
            "buffered_logs off",
        ]
        if inspecting is not None:
            lines += [
                f"sslcrtd_program {CERTIFICATES} -s {folder}/certificates -M 4MB",
                "sslcrtd_children 2 startup=1",
                "ssl_bump bump all",
                f"tls_outgoing_options cafile={folder}/trusted.pem",
            ]
            subprocess.run([CERTIFICATES, "-c", "-s", folder / "certificates", "-M", "4MB"], check=True, capture_output=True)
        (folder / "squid.conf").write_text("\n".join([*lines, ""]))
        (folder / "access.txt").touch()
        subprocess.run(["chown", "-R", USER, folder], check=True)
        async with Proxies(folder) as proxies:
            command = [*between.at("proxy"), found("squid"), "-N", "-f", str(folder / "squid.conf")]
            proxy = await proxies._start(command, PROXY_PORT, folder, lambda: between.forwarder("inside").reaches(PROXY, PROXY_PORT))
            yield Squid(proxy, folder / "access.txt")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def encrypted(certificate: tuple[Path, Path], target: Callable[[], str], port: int) -> AsyncIterator[None]:
    """Takes TLS on a port of this machine and passes what is in it on to `target` (http://host:port), asked for each connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, number = target().rpartition("//")[2].rpartition(":")
        there = await asyncio.open_connection(host, int(number))
        await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))

    server = await asyncio.start_server(taken, "127.0.0.1", port, ssl=context)
    try:
        yield
    finally:
        server.close()


def certificate(folder: Path, name: str, hosts: list[str]) -> tuple[Path, Path]:
    """A certificate for these hosts, which signs itself, and its key; for no host: an authority's. PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(7)
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    if hosts:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return paths
