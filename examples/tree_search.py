"""Search by forking: at each step every branch tries its own next move on its own copy of the desktop.

The task is to type a number into a file, digit by digit, that a judge scores; only the best branch lives on.
python examples/tree_search.py [TEMPLATE] [SECRET]
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from desktop_sandbox import Sandbox

MOVES = "0369"


def attempt(desktop: Sandbox, move: str) -> str:
    """Make one move, and read how far this branch has come."""
    desktop.commands.run(["sh", "-c", f"printf %s {move} >> /home/user/answer"])
    return desktop.files.read("/home/user/answer")


def score(answer: str, secret: str) -> int:
    """How many characters are right from the start on."""
    return sum(1 for place in range(len(answer)) if answer[: place + 1] == secret[: place + 1])


def main(template: str = "desktop", secret: str = "639") -> None:
    """Keep the best of four branches at each step."""
    best = Sandbox.create(template, timeout=600)
    try:
        best.files.write("/home/user/answer", "")
        for step in range(len(secret)):
            branches = best.fork(len(MOVES), timeout=600)
            best.kill()
            with ThreadPoolExecutor(len(branches)) as pool:
                answers = list(pool.map(attempt, branches, MOVES))
            order = sorted(range(len(branches)), key=lambda index: score(answers[index], secret), reverse=True)
            best = branches[order[0]]
            for index in order[1:]:
                branches[index].kill()
            print(f"step {step + 1}: tried {', '.join(answers)}; kept {answers[order[0]]}")
        print("found", best.files.read("/home/user/answer"))
    finally:
        best.kill()


if __name__ == "__main__":
    main(*sys.argv[1:])
