"""A desktop whose actions wait while a person drives, that does not end under them, and that knows how long it waited.

It never decides who drives: a person takes the control and gives it back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from desktop_sandbox import Sandbox
from desktop_sandbox.errors import ControlHeldError

if TYPE_CHECKING:
    from desktop_sandbox.sdk.models import ActResult

T = TypeVar("T")
TAKE_OVER_S = 3600.0  # so long the agent waits while a person drives


class PatientSandbox(Sandbox):
    """What acts waits up to TAKE_OVER_S while a person drives, then raises DeadlineError.

    `waited_s` is how long it waited in all, in seconds. With `keep_s` the desktop lives for so many seconds after the
    longest wait; None leaves its timeout alone.
    """

    waited_s: float = 0.0
    keep_s: float | None = None

    def act(self, *args: Any, **options: Any) -> ActResult:
        """See Sandbox."""
        return self._patiently(lambda: super(PatientSandbox, self).act(*args, **options))

    def launch(self, *args: Any, **options: Any) -> int:
        """See Sandbox."""
        return self._patiently(lambda: super(PatientSandbox, self).launch(*args, **options))

    def open(self, *args: Any, **options: Any) -> None:
        """See Sandbox."""
        self._patiently(lambda: super(PatientSandbox, self).open(*args, **options))

    def until_given_back(self) -> None:
        """Wait until no person drives; at once where none does. DeadlineError after TAKE_OVER_S."""
        if self.control.get().holder != "viewer":
            return
        if self.keep_s is not None:
            self.set_timeout(TAKE_OVER_S + self.keep_s)
        began = time.monotonic()
        try:
            self.control.wait(TAKE_OVER_S)
        finally:
            self.waited_s += time.monotonic() - began

    def _patiently(self, work: Callable[[], T]) -> T:
        while True:
            try:
                return work()
            except ControlHeldError:
                self.until_given_back()
