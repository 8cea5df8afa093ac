"""Observations with the elements of the window with the focus: over a node without machines, and on a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gymnasium.utils.env_checker import check_env

from desktop_sandbox.errors import DesktopSandboxError, GuestError, NotFoundError
from desktop_sandbox.gym import DesktopEnv, DesktopVectorEnv, Task
from tests.conftest import RealServer
from tests.live_server import Live, serving

BUTTON = '[1.7/3] button "Open"'


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    with serving(tmp_path) as server:
        monkeypatch.setenv("DESKTOP_SANDBOX_URL", server.url)
        monkeypatch.setenv("DESKTOP_SANDBOX_API_KEY", server.key)
        yield server


@pytest.mark.filterwarnings("ignore:.*render modes")
def test_the_tree_is_seen_where_it_was_asked_for(live: Live) -> None:
    env = DesktopEnv(scale=0.25, settle_ms=0, tree=True)
    try:
        check_env(env, skip_close_check=True)
        assert BUTTON in env.reset()[0]["tree"]
        assert BUTTON in env.step([])[0]["tree"]
    finally:
        env.close()
    plain = DesktopEnv(scale=0.25, settle_ms=0)
    try:
        check_env(plain, skip_close_check=True)
        assert set(plain.reset()[0]) == {"image", "cursor", "text"}
    finally:
        plain.close()


def test_many_desktops_show_their_trees(live: Live) -> None:
    env = DesktopVectorEnv(2, scale=0.25, settle_ms=0, tree=True)
    try:
        seen = env.reset()[0]
        assert seen in env.observation_space
        assert [BUTTON in tree for tree in seen["tree"]] == [True, True]
        assert [BUTTON in tree for tree in env.step([[], []])[0]["tree"]] == [True, True]
    finally:
        env.close()


@pytest.mark.parametrize(
    "error", [NotFoundError("xterm tells nothing of itself"), GuestError("no operation 'a11y.tree'")]
)
def test_a_window_without_elements_ends_no_episode(live: Live, error: DesktopSandboxError) -> None:
    env = DesktopEnv(scale=0.25, settle_ms=0, tree=True)
    try:
        env.reset()
        live.node.fail["tree"] = error
        seen, _, terminated, truncated, _ = env.step([])
        assert seen["tree"] == f"! {error.message}"
        assert seen in env.observation_space
        assert (terminated, truncated) == (False, False)
    finally:
        env.close()


@pytest.mark.desktop
def test_the_tree_of_a_browser(server: RealServer) -> None:
    env = DesktopEnv(Task("free", template="desktop"), scale=0.25, settle_ms=0, tree=True)
    try:
        assert 'entry "Address and search bar"' in env.reset()[0]["tree"]
    finally:
        env.close()
