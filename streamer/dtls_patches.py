"""Cipher suites for peers with an RSA certificate, over aiortc 1.16. All that reaches into its DTLS is here.

Why: aiortc offers suites for ECDSA certificates only. GStreamer's webrtcbin, and who builds on it, has an RSA one, and
the handshake ends with "no shared cipher". What a certificate is worth does not change: the fingerprint in the SDP
must fit, whatever its kind.
"""

from __future__ import annotations

from typing import Any

from aiortc.rtcdtlstransport import RTCCertificate
from OpenSSL import SSL

# aiortc's own first: browsers go on as before
_SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA"
)
_create: Any = RTCCertificate._create_ssl_context


def patch_dtls() -> None:
    """Have every DTLS context know the suites of both kinds. Once, at the start."""
    owner: Any = RTCCertificate
    owner._create_ssl_context = _create_with_suites


def _create_with_suites(certificate: RTCCertificate, *arguments: Any, **options: Any) -> SSL.Context:
    context: SSL.Context = _create(certificate, *arguments, **options)
    context.set_cipher_list(_SUITES.encode())
    return context
