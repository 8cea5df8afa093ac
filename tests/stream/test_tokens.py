"""Tokens: what is signed is believed, whatever is changed is not."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desktop_sandbox.errors import AuthenticationError, ConfigurationError, InvalidRequestError, NotFoundError
from desktop_sandbox.node.database import Database
from desktop_sandbox.stream.token_store import MIGRATIONS, TokenStore
from desktop_sandbox.stream.tokens import Token, derive_key, sign, verify

KEY = derive_key(b"a secret of this home")
TOKEN = Token("0123456789abcdef", "sb-1", "control", 2000.5, "Ada ü", takes_control=True)


def test_what_was_signed_comes_back() -> None:
    for token in (TOKEN, Token("a", "sb-2", "view", 1e12)):
        assert verify(sign(token, KEY), KEY, 1000.0) == token


def test_it_ends_with_its_time() -> None:
    text = sign(TOKEN, KEY)
    assert verify(text, KEY, 2000.4).id == TOKEN.id
    with pytest.raises(AuthenticationError, match="expired"):
        verify(text, KEY, 2000.5)


def test_another_homes_tokens_are_no_good() -> None:
    with pytest.raises(AuthenticationError, match="not valid"):
        verify(sign(TOKEN, derive_key(b"another")), KEY, 1000.0)


@given(st.integers(0, len(sign(TOKEN, KEY)) - 1), st.characters())
def test_a_changed_letter_is_noticed(place: int, letter: str) -> None:
    text = sign(TOKEN, KEY)
    changed = text[:place] + letter + text[place + 1 :]
    if changed == text:
        return
    with pytest.raises(AuthenticationError):
        verify(changed, KEY, 1000.0)


@pytest.mark.parametrize("text", ["", "dst_", "dst_.", "dst_e30.", "x" * 5000, "dst_" + "A" * 4000 + ".AA", "dst_é.ü"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(AuthenticationError, match="not valid"):
        verify(text, KEY, 0.0)


async def test_revoked_tokens_stay_revoked_over_restarts(tmp_path: Path) -> None:
    now = 1000.0
    store = await TokenStore.open(tmp_path / "a.db", tmp_path / "secret", lambda: now)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    kept, kept_text = await store.make("sb-1", "view", 50, name="Ada")
    now = 1000.5
    gone, gone_text = await store.make("sb-1", "control", 50)
    assert [token.id for token in await store.list("sb-1")] == [kept.id, gone.id]
    with pytest.raises(NotFoundError):
        await store.revoke("sb-2", gone.id)
    await store.revoke("sb-1", gone.id)
    assert not store.is_good(gone)
    await store.close()
    store = await TokenStore.open(tmp_path / "a.db", tmp_path / "secret", lambda: now)
    assert store.check(kept_text) == kept
    with pytest.raises(AuthenticationError, match="revoked"):
        store.check(gone_text)
    now = 1051.0
    assert not store.is_good(kept)
    assert await store.list("sb-1") == []
    for ttl in (0, -1, 1e9, float("nan")):
        with pytest.raises(InvalidRequestError):
            await store.make("sb-1", "view", ttl)
    await store.close()


async def test_a_broken_secret_is_told(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="32 bytes"):
        await TokenStore.open(tmp_path / "a.db", tmp_path / "secret")


async def test_what_was_made_with_a_token_goes_with_it(tmp_path: Path) -> None:
    store = await TokenStore.open(tmp_path / "a.db", tmp_path / "secret", lambda: 1000.0)
    root, _ = await store.make("sb-1", "control", 50)
    child, _ = await store.make("sb-2", "control", 900, parent=root)
    grandchild, text = await store.make("sb-3", "control", 20, parent=child)
    other, _ = await store.make("sb-3", "control", 20)
    assert (child.expires_at, grandchild.expires_at) == (1050.0, 1020.0)
    assert {*await store.revoke("sb-1", root.id)} == {root.id, child.id, grandchild.id}
    assert [store.is_good(token) for token in (root, child, grandchild, other)] == [False, False, False, True]
    with pytest.raises(AuthenticationError, match="revoked"):
        await store.make("sb-4", "control", 5, parent=grandchild)
    await store.close()
    store = await TokenStore.open(tmp_path / "a.db", tmp_path / "secret", lambda: 1000.0)
    with pytest.raises(AuthenticationError, match="revoked"):
        store.check(text)
    await store.close()


async def test_a_file_of_the_first_schema_goes_on(tmp_path: Path) -> None:
    old = await Database.open(tmp_path / "a.db", MIGRATIONS[:1])
    insert = (
        "INSERT INTO tokens (id, sandbox, rights, name, created_at, expires_at)"
        " VALUES ('aa', 'sb-1', 'control', 'Ada', 0, 2000)"
    )
    await old.write(lambda link: link.execute(insert))
    await old.close()
    store = await TokenStore.open(tmp_path / "a.db", tmp_path / "secret", lambda: 1000.0)
    (known,) = await store.list("sb-1")
    child, _ = await store.make("sb-2", "control", 9000, parent=known)
    assert child.expires_at == 2000
    assert {*await store.revoke("sb-1", "aa")} == {"aa", child.id}
    await store.close()
