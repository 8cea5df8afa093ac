"""One TLS connection, read by one thread while others write: a real server, real OpenSSL."""

from __future__ import annotations

import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from desktop_sandbox.sdk import tls_socket

BLOCK = bytes(range(256)) * 64
BLOCKS = 400


class Echo(socketserver.BaseRequestHandler):
    """Gives back what it gets."""

    def handle(self) -> None:
        with suppress(OSError), self.server.context.wrap_socket(self.request, server_side=True) as peer:
            while data := peer.recv(1 << 16):
                peer.sendall(data)


class EchoServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    context: ssl.SSLContext


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[tuple[str, int], Path]]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(cert), "-days", "1", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True)
    with EchoServer(("127.0.0.1", 0), Echo) as server:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(cert, key)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address, cert
        server.shutdown()


@pytest.fixture
def shared(address: tuple[tuple[str, int], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLSocket]:
    place, cert = address
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    with (
        socket.create_connection(place) as plain,
        tls_socket.context().wrap_socket(plain, server_hostname="localhost") as found,
    ):
        yield found


def test_two_threads_write_while_one_reads(shared: ssl.SSLSocket) -> None:
    seen = bytearray()

    def read() -> None:
        while len(seen) < 2 * BLOCKS * len(BLOCK):
            seen.extend(shared.recv(1 << 16))

    def write() -> None:
        for _ in range(BLOCKS):
            shared.sendall(BLOCK)

    threads = [threading.Thread(target=work) for work in (read, write, write)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert seen.count(BLOCK[:256]) == 2 * BLOCKS * 64, "each byte came once, and those of one record together"


def test_who_waits_for_bytes_does_not_keep_others_from_sending(shared: ssl.SSLSocket) -> None:
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(shared.recv(100)))
    reader.start()
    time.sleep(0.3)  # it waits, and has seen the server's session tickets, which are no bytes of ours
    assert reader.is_alive()
    shared.sendall(b"here")
    reader.join(10)
    assert got == [b"here"]


def test_a_time_limit_and_the_end_are_told(shared: ssl.SSLSocket) -> None:
    shared.settimeout(0.05)
    assert shared.gettimeout() == 0.05
    with pytest.raises(TimeoutError):
        shared.recv(1)
    shared.settimeout(None)
    ended: list[bytes] = []
    reader = threading.Thread(target=lambda: ended.append(shared.recv(1)))
    reader.start()
    shared.shutdown(socket.SHUT_RDWR)
    reader.join(10)
    assert ended == [b""]
    shared.close()
    with pytest.raises(OSError, match="Bad file"):
        shared.sendall(b"too late")


def test_a_stranger_is_not_spoken_to(address: tuple[tuple[str, int], Path]) -> None:
    with socket.create_connection(address[0]) as plain, pytest.raises(ssl.SSLCertVerificationError):
        tls_socket.context().wrap_socket(plain, server_hostname="localhost")
