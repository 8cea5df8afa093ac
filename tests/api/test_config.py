from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from desktop_sandbox.config import (
    client_config,
    default_translation_mib,
    home_folder,
    is_loopback,
    parse_bind,
    server_config,
)
from desktop_sandbox.errors import ConfigurationError


def env(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"DESKTOP_SANDBOX_HOME": str(tmp_path / "home"), **more}


def test_home_follows_setting_then_xdg_then_home() -> None:
    assert home_folder({"DESKTOP_SANDBOX_HOME": "/x/y"}) == Path("/x/y")
    assert home_folder({"XDG_DATA_HOME": "/d", "HOME": "/h"}) == Path("/d/desktop-sandbox")
    assert home_folder({"XDG_DATA_HOME": "relative", "HOME": "/h"}) == Path("/h/.local/share/desktop-sandbox")
    with pytest.raises(ConfigurationError, match="not an absolute path"):
        home_folder({"DESKTOP_SANDBOX_HOME": "here"})


def test_loopback_server_makes_a_private_key_once_and_the_client_finds_it(tmp_path: Path) -> None:
    first = server_config(env(tmp_path))
    assert stat.S_IMODE(first.key_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(first.home.stat().st_mode) == 0o700
    assert server_config(env(tmp_path)).api_key == first.api_key
    assert client_config(environ=env(tmp_path)).api_key == first.api_key
    os.chmod(first.key_path, 0o644)
    server_config(env(tmp_path))
    assert stat.S_IMODE(first.key_path.stat().st_mode) == 0o600


def test_key_file_is_never_sent_to_another_host(tmp_path: Path) -> None:
    server_config(env(tmp_path))
    assert client_config("https://desktops.example.org", environ=env(tmp_path)).api_key is None
    assert client_config("http://127.0.0.1.example.org", environ=env(tmp_path)).api_key is None


@pytest.mark.parametrize(("memory_gib", "mib"), [(4, 256), (12, 512), (24, 1024), (512, 1024)])
def test_room_for_translated_code_goes_by_the_hosts_memory(memory_gib: int, mib: int) -> None:
    assert default_translation_mib(memory_gib << 30) == mib


def test_room_for_translated_code_is_as_it_was_set(tmp_path: Path) -> None:
    assert server_config(env(tmp_path, DESKTOP_SANDBOX_TRANSLATION_MIB="96")).translation_mib == 96
    assert server_config(env(tmp_path)).translation_mib == default_translation_mib()


def test_a_server_beyond_loopback_needs_a_given_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        server_config(env(tmp_path, DESKTOP_SANDBOX_BIND="0.0.0.0:8700"))
    assert "DESKTOP_SANDBOX_API_KEY" in (caught.value.hint or "")
    key = "k" * 32
    config = server_config(env(tmp_path, DESKTOP_SANDBOX_BIND="0.0.0.0:8700", DESKTOP_SANDBOX_API_KEY=key))
    assert config.api_key == key
    assert not config.key_path.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DESKTOP_SANDBOX_API_KEY", "short"),
        ("DESKTOP_SANDBOX_API_KEY", "with space in the middle of it"),
        ("DESKTOP_SANDBOX_MAX_SANDBOXES", "0"),
        ("DESKTOP_SANDBOX_MAX_SANDBOXES", "many"),
        ("DESKTOP_SANDBOX_TRANSLATION_MIB", "4"),
        ("DESKTOP_SANDBOX_WARM_POOL", "-1"),
        ("DESKTOP_SANDBOX_MAX_BODY_BYTES", "-1"),
        ("DESKTOP_SANDBOX_BIND", "localhost:99999"),
        ("DESKTOP_SANDBOX_BIND", ":8700"),
    ],
)
def test_wrong_settings_are_refused_with_a_hint(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        server_config(env(tmp_path, **{name: value}))
    assert caught.value.hint
    assert value not in str(caught.value) or "KEY" not in name


@pytest.mark.parametrize("url", ["ftp://x", "localhost:8700", "http://", "http://u:p@h", "http://h:0", "http://h/?q=1"])
def test_wrong_urls_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="not an http or https URL"):
        client_config(url, environ={})


def test_addresses() -> None:
    assert parse_bind("[::1]:9") == ("::1", 9)
    assert parse_bind("localhost") == ("localhost", 8700)
    assert is_loopback("::1")
    assert is_loopback("127.9.9.9")
    assert not is_loopback("0.0.0.0")


def test_the_domain_of_ports(tmp_path: Path) -> None:
    def domain(text: str) -> str:
        return server_config({"DESKTOP_SANDBOX_PORT_DOMAIN": text}, home=tmp_path).port_domain

    assert (domain(""), domain("Ports.Example.org")) == ("localhost", "ports.example.org")
    for wrong in ("*.example.org", "http://x", "a..b", "-a", "ä"):
        with pytest.raises(ConfigurationError, match="PORT_DOMAIN"):
            domain(wrong)
