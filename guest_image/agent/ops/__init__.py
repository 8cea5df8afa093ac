"""The operations. Each module puts its own into the registry when it is imported."""


def load() -> None:
    """Fill the registry."""
    from guest_image.agent.ops import (  # noqa: F401
        actions,
        apps,
        clipboard,
        commands,
        display,
        entries,
        files,
        identity,
        logs,
        power,
        session,
        windows,
    )
