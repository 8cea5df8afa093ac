"""Options and arguments that many commands have."""

from typing import Annotated, Optional

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SandboxId = Annotated[str, typer.Argument(metavar="SANDBOX", help="The sandbox's id.")]
Metadata = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--metadata", "-m", metavar="NAME=VALUE", help="Repeatable."),
]
