"""A desktop as an OpenEnv environment: the agent is told a place, and moves the pointer there.

python examples/openenv_loop.py [TEMPLATE]; needs pip install 'desktop-sandbox[openenv]'
"""

from __future__ import annotations

import re
import sys

from desktop_sandbox.gym import Step, Task, Verdict
from desktop_sandbox.openenv import DesktopAction, DesktopEnvironment


def judge(desktop, step: Step) -> Verdict:
    """Is the pointer where it should be?"""
    there = all(step.observation["cursor"] == (step.goal["x"], step.goal["y"]))
    return Verdict(reward=1.0 if there else -0.1, terminated=there)


def begin(desktop, rng) -> dict[str, int]:
    """Another place in each episode, by the seed."""
    return {"x": int(rng.integers(1280)), "y": int(rng.integers(800))}


def main(template: str = "desktop") -> None:
    """One episode."""
    env = DesktopEnvironment(Task("point", judge, "move to {x}, {y}", template, begin=begin), scale=0.5)
    try:
        seen = env.reset(seed=1)
        x, y = map(int, re.findall(r"\d+", seen.text))
        seen = env.step(DesktopAction(actions=[{"type": "move", "x": x, "y": y}]))
        print(f"{seen.width}×{seen.height}, pointer at {seen.cursor}: reward {seen.reward}, done {seen.done}")
    finally:
        env.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
