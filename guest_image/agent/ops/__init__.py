"""The operations. Each module puts its own into the registry when it is imported."""


def load() -> None:
    """Fill the registry."""
    from guest_image.agent.ops import (  # noqa: F401
        a11y,
        actions,
        apps,
        clipboard,
        commands,
        display,
        entries,
        files,
        identity,
        jobs,
        logs,
        power,
        session,
        tcp,
        watching,
        window_control,
        windows,
    )
