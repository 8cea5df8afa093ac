"""`desktop-sandbox agent TASK`: let a model work on a desktop, with a person watching."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from desktop_sandbox.agents.loop.patient import PatientSandbox
from desktop_sandbox.agents.loop.trajectory import Trajectory
from desktop_sandbox.agents.loop.vendors import choose, connect
from desktop_sandbox.errors import DeadlineError

if TYPE_CHECKING:
    from desktop_sandbox.agents.loop.vendors import Vendor

STOPPED = 130
SPARE_S = 600.0  # so long a desktop of its own outlives the budget: the last step may begin at its end


def run(task: str, template: str, sandbox_id: str | None, *, steps: int, seconds: float, save: str | None) -> int:
    """Run the loop; the exit code: 0 if the model said that it is done, 130 if a person ended it, 1 otherwise."""
    vendor, model = choose()
    folder = Path(save or f"agent-{time.strftime('%Y%m%d-%H%M%S')}")
    desktop = begin(template, sandbox_id, seconds)
    try:
        say(f"{model} works on {desktop.sandbox_id}; Ctrl-C stops it\nwatch and take over: {desktop.stream.get_url()}")
        conversation = connect(vendor, model, desktop, task, ask)
        trajectory = Trajectory(folder, task)
        outcome, code = work(conversation, desktop, trajectory, steps=steps, seconds=seconds)
        trajectory.finish(outcome)
        say(f"{outcome}; look through it at {folder / 'index.html'}")
        if not sandbox_id and code != STOPPED:
            with suppress(DeadlineError):
                desktop.until_given_back()
        return code
    finally:
        if sandbox_id:
            desktop.close()
        else:
            desktop.kill()


def begin(template: str, sandbox_id: str | None, seconds: float) -> PatientSandbox:
    """The desktop that was named, or one of its own, which lives as long as the budget and a person's turns need it."""
    if sandbox_id:
        return PatientSandbox.connect(sandbox_id)
    desktop = PatientSandbox.create(template, timeout=seconds + SPARE_S)
    desktop.keep_s = seconds + SPARE_S
    return desktop


def work(
    conversation: Vendor, desktop: PatientSandbox, trajectory: Trajectory, *, steps: int, seconds: float
) -> tuple[str, int]:
    """Step until the model stops or the budget is used; how it ended, and the exit code. A person's turn is free."""
    end = time.monotonic() + seconds
    try:
        for _ in range(steps):
            step = conversation.step()
            trajectory.add(step, desktop.screenshot("jpeg"))
            print(step.said, flush=True)
            for call in step.calls:
                say(f"  {call.get('name') or call.get('type')} {call.get('input') or call.get('args') or ''}".rstrip())
            if not step.calls:
                return ("the model is done", 0) if step.stopped is None else (f"stopped: {step.stopped}", 1)
            if time.monotonic() - desktop.waited_s >= end:
                return f"stopped: {seconds:g} s are over", 1
    except KeyboardInterrupt:
        return "stopped by a person", STOPPED
    return f"stopped: {steps} steps are done", 1


def ask(question: str) -> bool:
    """Put a model's safety question to the person at the terminal; no where there is none."""
    if not sys.stdin.isatty():
        return False
    return input(f"the model asks before it goes on: {question}\ngo on? [y/N] ").strip().lower() in ("y", "yes")


def say(text: str) -> None:
    """Tell the person at the terminal; stdout is the model's."""
    print(text, file=sys.stderr, flush=True)
