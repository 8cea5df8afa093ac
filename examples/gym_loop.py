"""Desktops as a Gymnasium environment: all begin from one snapshot, and the agent reads what it is told.

python examples/gym_loop.py [TEMPLATE] [DESKTOPS] [STEPS]; needs pip install 'desktop-sandbox[gym]'
"""

from __future__ import annotations

import re
import sys

from desktop_sandbox.gym import DesktopVectorEnv, Step, Task, Verdict


def judge(desktop, step: Step) -> Verdict:
    """Is the pointer where it should be?"""
    there = all(step.observation["cursor"] == (step.goal["x"], step.goal["y"]))
    return Verdict(reward=1.0 if there else -0.1, terminated=there)


def begin(desktop, rng) -> dict[str, int]:
    """Another place in each episode, by the seed."""
    return {"x": int(rng.integers(1280)), "y": int(rng.integers(800))}


def main(template: str = "desktop", desktops: str = "2", steps: str = "6") -> None:
    """Step all desktops together; an episode that is over begins anew by itself."""
    env = DesktopVectorEnv(int(desktops), Task("point", judge, "move to {x}, {y}", template, begin=begin), scale=0.25)
    try:
        seen, _ = env.reset(seed=1)
        for number in range(int(steps)):
            told = [re.findall(r"\d+", text) if text.startswith("move") else None for text in seen["text"]]
            batches = [[{"type": "move", "x": int(at[0]), "y": int(at[1])}] if at else [] for at in told]
            seen, rewards, over, _, _ = env.step(batches)
            print(f"step {number + 1}: images {seen['image'].shape}, rewards {rewards}, over {over}")
    finally:
        env.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
