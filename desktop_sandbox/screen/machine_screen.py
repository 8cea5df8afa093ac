"""One machine's screen: framebuffer and state page together, at the size that the screen has now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from desktop_sandbox.screen.framebuffer import Framebuffer, Layout
from desktop_sandbox.screen.memory import GuestMemory, PageRuns, StaleFramebuffer
from desktop_sandbox.screen.state import StatePage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from desktop_sandbox.screen.encode import Cursor
    from desktop_sandbox.screen.framebuffer import Frame
    from guest_image.agent.state_page import ScreenState

TRIES = 3


class MachineScreen:
    """What a machine shows, read from its memory without its help; every method may run in any thread.

    All methods raise StaleFramebuffer where the guest must be asked for `display.get` again (make a new
    MachineScreen from the reply), and MachineError where the process is gone.
    """

    def __init__(self, memory: GuestMemory, layout: Layout, state_pages: PageRuns) -> None:
        self.framebuffer = Framebuffer(memory, layout)
        self._page = StatePage(memory, state_pages)

    @classmethod
    def from_wire(cls, memory: GuestMemory, reply: Mapping[str, object]) -> MachineScreen:
        """From the agent's reply to `display.get` (or a manifest that kept it)."""
        return cls(memory, Layout.from_wire(reply), PageRuns.from_wire(reply.get("state")))

    def state(self) -> ScreenState:
        """Size, generation and pointer position now."""
        return self._checked(self._page.peek())

    def size(self) -> tuple[int, int]:
        """Width and height now, in pixels."""
        state = self.state()
        return state.width, state.height

    def cursor(self) -> Cursor:
        """The pointer's place and picture now; a hidden cursor has a picture without pixels."""
        return self._read_page()[1]

    def numbered_cursor(self) -> tuple[Cursor, int]:
        """As `cursor`, with the serial that the X server gave the picture."""
        state, cursor = self._read_page()
        return cursor, state.cursor_serial

    def read(self, out: Frame | None = None) -> Frame:
        """The screen now, whole and at its present size; into `out` if given and of that very size."""
        for _ in range(TRIES):
            before = self.state()
            shape = (before.height, before.width, 4)
            target = out if out is not None and out.shape == shape else None
            frame = self.framebuffer.read(before.width, before.height, target)
            if self.state().generation == before.generation:
                return frame
        raise StaleFramebuffer("The screen's size changes all the time.", hint="Try again when it has settled.")

    def _read_page(self) -> tuple[ScreenState, Cursor]:
        state, cursor = self._page.read()
        return self._checked(state), cursor

    def _checked(self, state: ScreenState) -> ScreenState:
        layout = self.framebuffer.layout
        said = (state.max_width, state.max_height, state.stride_bytes)
        if said != (layout.max_width, layout.max_height, layout.stride_bytes):
            raise StaleFramebuffer(f"The guest's state page tells of another screen: {said}.")
        return state
