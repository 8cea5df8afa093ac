"""Environments on real desktops: Gymnasium's own checker, tasks, resets, many at once."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from PIL import Image

from desktop_sandbox import Host, Sandbox
from desktop_sandbox.gym import ENV_ID, DesktopEnv, DesktopVectorEnv, Step, Task, Verdict
from tests.conftest import RealServer

pytestmark = pytest.mark.machine
DONE = "/home/user/done"


def judge(desktop: Sandbox, step: Step) -> Verdict:
    """Done when the file holds the word of this episode."""
    found = desktop.files.read(DONE) if desktop.files.exists(DONE) else ""
    return Verdict(float(found == step.goal["word"]), found == step.goal["word"], {"found": found})


def begin(desktop: Sandbox, rng: np.random.Generator) -> Mapping[str, Any]:
    return {"word": f"w{rng.integers(1_000_000)}", "prepared": desktop.files.read("/home/user/prepared")}


WORD = Task(
    "word",
    judge,
    prompt="write {word}",
    template="minimal",
    setup=lambda desktop: desktop.files.write("/home/user/prepared", "once") and None,
    begin=begin,
)
FREE = Task("free", template="minimal")


def gym_snapshots() -> set[str]:
    with Host.connect() as host:
        return {info.snapshot_id for info in host.snapshots() if "gym" in info.tags}


def running() -> int:
    return len([one for one in Sandbox.list().sandboxes if "gym" in one.metadata])


@pytest.fixture(autouse=True)
def nothing_is_left(server: RealServer) -> Iterator[None]:
    yield
    assert gym_snapshots() == set()
    assert running() == 0


def test_gymnasiums_checker_passes(server: RealServer) -> None:
    # with the tree, too: there is none in this template, and the observation says why
    env = gymnasium.make(ENV_ID, tasks=FREE, scale=0.5, tree=True, render_mode="rgb_array")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message=".*(different from the unwrapped version|render modes).*")
            check_env(env.unwrapped, skip_close_check=True)
        assert env.reset()[0]["tree"].startswith("! ")
    finally:
        env.close()


def test_an_episode_from_prompt_to_reward_and_back(server: RealServer) -> None:
    env = DesktopEnv(WORD, max_steps=3)
    try:
        seen, info = env.reset(seed=7)
        assert seen["text"] == f"write {info['goal']['word']}"
        assert info["goal"]["prepared"] == "once"
        desktop = env.desktop
        assert desktop is not None
        shown = np.asarray(Image.open(io.BytesIO(desktop.screenshot("png"))).convert("RGB"))
        assert np.array_equal(seen["image"], shown)

        seen, reward, terminated, truncated, _ = env.step([{"type": "move", "x": 0, "y": 799}])
        assert seen["cursor"].tolist() == [0, 799]
        assert (reward, terminated, truncated) == (0.0, False, False)
        desktop.files.write(DONE, info["goal"]["word"])
        seen, reward, terminated, truncated, more = env.step([])
        assert (reward, terminated, truncated) == (1.0, True, False)
        assert more["found"] == info["goal"]["word"]

        again, second = env.reset(seed=7)
        assert second["goal"] == info["goal"], "the seed decides"
        assert second["sandbox"] == info["sandbox"], "rolled back in place"
        assert not desktop.files.exists(DONE), "nothing of the last episode is left"
        assert again["text"] == f"write {info['goal']['word']}"
        assert env.reset(seed=8)[1]["goal"] != info["goal"]
        for expected in (False, False, True):
            assert env.step([])[3] is expected
    finally:
        env.close()
        env.close()


def test_options_choose_task_and_snapshot(server: RealServer, sandbox: Sandbox) -> None:
    sandbox.files.write("/home/user/prepared", "by hand")
    saved = sandbox.checkpoint()
    env = DesktopEnv([WORD, FREE])
    try:
        assert env.reset(options={"task": "free"})[1] == {"task": "free", "sandbox": env.desktop.sandbox_id, "goal": {}}  # type: ignore[union-attr]
        assert env.reset(options={"task": "word"})[1]["goal"]["prepared"] == "once"
        assert env.reset(options={"task": "word", "snapshot": saved.snapshot_id})[1]["goal"]["prepared"] == "by hand"
        assert {env.reset(seed=seed)[1]["task"] for seed in range(5)} == {"word", "free"}
    finally:
        env.close()
        sandbox.kill()
        with Host.connect() as host:
            host.delete_snapshot(saved)


def test_what_fails_is_told_and_a_desktop_that_is_lost_is_made_anew(server: RealServer) -> None:
    env = DesktopEnv(FREE)
    try:
        _, info = env.reset()
        desktop = env.desktop
        assert desktop is not None
        Sandbox.connect(desktop.sandbox_id).kill()
        seen, reward, terminated, truncated, lost = env.step([{"type": "move", "x": 1, "y": 1}])
        assert (reward, terminated, truncated) == (0.0, False, True)
        assert desktop.sandbox_id in lost["lost"]
        assert seen in env.observation_space
        fresh = env.reset()[1]
        assert fresh["sandbox"] != info["sandbox"]
        assert env.step([{"type": "move", "x": 1, "y": 1}])[0]["cursor"].tolist() == [1, 1]
    finally:
        env.close()


def test_many_desktops_from_one_snapshot(server: RealServer) -> None:
    env = DesktopVectorEnv(3, WORD, scale=0.25)
    try:
        seen, infos = env.reset(seed=3)
        assert seen in env.observation_space
        assert seen["image"].shape == (3, 200, 320, 3)
        assert len(set(infos["sandbox"])) == 3
        assert len(gym_snapshots()) == 1
        words = [goal for goal in infos["goal"]["word"]]
        assert len(set(words)) == 3
        assert env.envs[1].reset(seed=4)[1]["goal"]["word"] == words[1], "seed 3 + 1"

        moves = [[{"type": "move", "x": 10 * index, "y": index}] for index in range(3)]
        seen = env.step(moves)[0]
        assert seen["cursor"].tolist() == [[0, 0], [10, 1], [20, 2]]
        assert env.envs[1].desktop is not None
        env.envs[1].desktop.files.write(DONE, words[1])
        _, rewards, terminated, _, infos = env.step([[], [], []])
        assert rewards.tolist() == [0.0, 1.0, 0.0]
        assert terminated.tolist() == [False, True, False]
        assert infos["found"].tolist() == ["", words[1], ""]

        _, rewards, terminated, _, infos = env.step([[], [], []])
        assert terminated.tolist() == [False, False, False]
        assert infos["_goal"].tolist() == [False, True, False], "only the one that was over begins anew"
        assert infos["goal"]["word"][1] != words[1]

        before = [one.desktop.sandbox_id for one in env.envs if one.desktop is not None]
        _, infos = env.reset(seed=[None, None, 5], options={"reset_mask": np.array([False, False, True])})
        assert infos["_sandbox"].tolist() == [False, False, True]
        assert [one.desktop.sandbox_id for one in env.envs if one.desktop is not None] == before
    finally:
        env.close()
