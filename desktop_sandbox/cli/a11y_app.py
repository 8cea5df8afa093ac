"""Commands about elements and windows, and their options."""

from typing import Annotated, Optional

import typer

from desktop_sandbox.cli.options import Json, SandboxId

App = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="APP", help="Of this app: a part of its name, or its process id."),
]
All = Annotated[bool, typer.Option("--all", "-a", help="Of all apps; default: of the window with the focus.")]
Hidden = Annotated[bool, typer.Option(help="Also closed menus, and what is scrolled away.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the program."""

    @app.command()
    def tree(
        sandbox: SandboxId,
        app: App = None,
        all_: All = False,
        hidden: Hidden = False,
        nodes: Annotated[int, typer.Option(min=1, max=5000, help="At most so many elements.")] = 500,
        timeout: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds it may take.")] = 10,
        json: Json = False,
    ) -> None:
        """Show what apps tell of themselves: elements with id, role, name, states and place."""
        from desktop_sandbox.cli.a11y import tree as run

        run(sandbox, app=app, all_=all_, hidden=hidden, nodes=nodes, timeout=timeout, as_json=json)

    @app.command()
    def find(
        sandbox: SandboxId,
        role: Annotated[Optional[str], typer.Option("--role", "-r", help="Such as button.")] = None,  # noqa: UP045
        name: Annotated[Optional[str], typer.Option("--name", "-n", help="A part of it.")] = None,  # noqa: UP045
        match: Annotated[
            str, typer.Option(metavar="substring|exact|regex", help="How the name is meant.")
        ] = "substring",
        state: Annotated[Optional[list[str]], typer.Option("--state", "-s", help="Repeatable.")] = None,  # noqa: UP045
        app: App = None,
        all_: All = False,
        hidden: Hidden = False,
        json: Json = False,
    ) -> None:
        """Find elements by role, name and state."""
        from desktop_sandbox.cli.a11y import find as run

        run(sandbox, role, name, match=match, states=state or [], app=app, all_=all_, hidden=hidden, as_json=json)

    @app.command()
    def element(
        do: Annotated[str, typer.Argument(metavar="click|focus|set|invoke|show|look")],
        sandbox: SandboxId,
        element: Annotated[str, typer.Argument(metavar="ELEMENT", help="Its id, as `tree` shows it.")],
        value: Annotated[
            Optional[str],  # noqa: UP045
            typer.Argument(metavar="VALUE", help="What is set, or the action that is invoked."),
        ] = None,
        json: Json = False,
    ) -> None:
        """Click, focus, set, invoke or show an element."""
        from desktop_sandbox.cli.a11y import element as run

        run(sandbox, do, element, value, as_json=json)

    @app.command()
    def windows(sandbox: SandboxId, json: Json = False) -> None:
        """List windows, the topmost first."""
        from desktop_sandbox.cli.a11y import windows as run

        run(sandbox, as_json=json)

    @app.command()
    def window(
        do: Annotated[str, typer.Argument(metavar="activate|close|minimise|maximise|restore|move|resize")],
        sandbox: SandboxId,
        window: Annotated[str, typer.Argument(metavar="WINDOW", help="Its id, or a part of its title or class.")],
        numbers: Annotated[
            Optional[list[int]],  # noqa: UP045
            typer.Argument(metavar="[X Y | WIDTH HEIGHT]", help="For move and resize, in pixels."),
        ] = None,
        json: Json = False,
    ) -> None:
        """Activate, close, minimise, maximise, restore, move or resize a window."""
        from desktop_sandbox.cli.a11y import window as run

        run(sandbox, do, window, numbers or [], as_json=json)

    @app.command()
    def launch(
        sandbox: SandboxId,
        command: Annotated[
            list[str], typer.Argument(help="An app, or a program and its arguments. Write -- before it.")
        ],
        wait: Annotated[
            float, typer.Option(min=0, max=300, help="Seconds to wait for its window; 0: not at all.")
        ] = 30,
        json: Json = False,
    ) -> None:
        """Start an app and wait for its window; it runs on by itself."""
        from desktop_sandbox.cli.a11y import launch as run

        run(sandbox, command, wait=wait, as_json=json)
