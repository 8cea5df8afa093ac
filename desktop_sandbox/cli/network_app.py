"""Options of the command about networks; what it does is in `network`."""

from typing import Annotated, Optional

import typer

from desktop_sandbox.cli.options import Json

Mode = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--network", metavar="none|internet", help="What it may reach: nothing, or every public address."),
]
Allow = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--allow", metavar="RULE", help="Only this: NAME, *.NAME, ADDRESS, RANGE, maybe :PORTS. Repeatable."),
]
Deny = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--deny", metavar="RULE", help="Not this, written in the same way. Repeatable."),
]
Header = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--header",
        metavar="'HOST NAME: VALUE'",
        help="Set this header in requests to http://HOST/, outside of it; VALUE @FILE: what that has. Repeatable.",
    ),
]
Proxy = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--proxy", metavar="URL", help="Go through http:// or socks5://[USER:PASSWORD@]HOST:PORT; or @FILE."),
]


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(name="network")(_network)


def _network(
    what: Annotated[list[str], typer.Argument(metavar="[log] SANDBOX", help="A sandbox's id; log: its connections.")],
    network: Mode = None,
    allow: Allow = None,
    deny: Deny = None,
    header: Header = None,
    proxy: Proxy = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Of the log, the newest.")] = 100,
    json: Json = False,
) -> None:
    """Show what a desktop may reach, or change it (--network, --allow and so on); "log" lists its connections."""
    from desktop_sandbox.cli import network as run

    if len(what) == 2 and what[0] == "log":
        run.log(what[1], limit, as_json=json)
    elif len(what) == 1:
        run.show(what[0], run.policy_from(network, allow or [], deny or [], header or [], proxy), as_json=json)
    else:
        raise typer.BadParameter("write: network SANDBOX, or network log SANDBOX")
