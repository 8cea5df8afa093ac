"""Who signs exported snapshots, and whom this host trusts: ed25519 keys in HOME.

`signing-key` (0600) is this host's own, made when it is first needed; `trusted-keys.json` has the others by name.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from desktop_sandbox.errors import ConfigurationError, InvalidRequestError, NotFoundError

OWN = "this host"
KEY_BYTES = 32
SIGNATURE_BYTES = 64
_PREFIX = "ed25519:"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def show_key(key: bytes) -> str:
    """A public key as people pass it on."""
    return _PREFIX + base64.b64encode(key).decode()


def read_key(text: str) -> bytes:
    """A public key out of `ed25519:BASE64`. Raises InvalidRequestError."""
    try:
        key = base64.b64decode(text.strip().removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.strip().startswith(_PREFIX) or len(key) != KEY_BYTES:
        raise InvalidRequestError(
            f"this is no public key: {text.strip()[:60]!r}", hint='"desktop-sandbox trust ls" there shows a host\'s own'
        )
    return key


def is_signed(message: bytes, signature: bytes, key: bytes) -> bool:
    """Whether the holder of `key` signed this very message."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@dataclass(frozen=True)
class Keys:
    """The keys of one HOME. Every method may block shortly."""

    home: Path

    def sign(self, message: bytes) -> bytes:
        """This host's signature."""
        return self._own().sign(message)

    def own(self) -> bytes:
        """This host's public key."""
        return self._own().public_key().public_bytes_raw()

    def trusted(self) -> dict[str, str]:
        """Other hosts' keys that were trusted, by name."""
        try:
            found = json.loads((self.home / "trusted-keys.json").read_text())
            return {str(name): show_key(read_key(key)) for name, key in found.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, AttributeError, InvalidRequestError) as error:
            raise ConfigurationError(
                f"{self.home / 'trusted-keys.json'} cannot be read: {error}", hint="remove it, and trust the keys anew"
            ) from error

    def name_of(self, key: bytes) -> str | None:
        """Who this key is, or None for one that nobody trusted."""
        if key == self.own():
            return OWN
        return next((name for name, known in self.trusted().items() if known == show_key(key)), None)

    def trust(self, name: str, key: str) -> None:
        """Trust a key under a name; a name that is known gets the new key. Raises InvalidRequestError."""
        if not _NAME.fullmatch(name):
            raise InvalidRequestError(f"a name of {name!r}", hint="letters, digits, dots, dashes; at most 64")
        shown = show_key(read_key(key))
        with self._changing():
            self._write({**self.trusted(), name: shown})

    def distrust(self, name: str) -> None:
        """Trust it no longer. Raises NotFoundError."""
        with self._changing():
            found = self.trusted()
            if found.pop(name, None) is None:
                raise NotFoundError(f"no key is trusted as {name!r}", hint='"desktop-sandbox trust ls" lists them')
            self._write(found)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """One at a time, over threads and processes: what another one has just written is not lost."""
        with (self.home / ".trusted-keys.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, keys: dict[str, str]) -> None:
        aside = self.home / f".trusted-keys-{secrets.token_hex(4)}"
        aside.write_text(json.dumps(keys, indent=1) + "\n")
        aside.replace(self.home / "trusted-keys.json")

    def _own(self) -> Ed25519PrivateKey:
        path = self.home / "signing-key"
        try:
            return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
        except FileNotFoundError:
            pass
        except ValueError as error:
            raise ConfigurationError(f"{path} holds no key", hint="remove it: another one is made") from error
        aside = self.home / f".signing-key-{secrets.token_hex(4)}"
        descriptor = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes_raw())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)  # whoever was first
        except FileExistsError:
            pass
        finally:
            aside.unlink()
        return self._own()
