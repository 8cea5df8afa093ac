"""Options of the commands that wait, compare, find and read; what they do is in `eyes`."""

from typing import Annotated, Optional

import typer

from desktop_sandbox.cli.options import Json, SandboxId

Region = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="X,Y,WIDTH,HEIGHT", help="Only here; default: the whole screen."),
]
Ignore = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(metavar="X,Y,WIDTH,HEIGHT", help="What changes here does not count. Repeatable."),
]
Timeout = Annotated[float, typer.Option(min=0, max=600, help="Longest wait, in seconds.")]
Output = Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="Save the screen at the end.")]
Regex = Annotated[bool, typer.Option("--regex", help="It is a regular expression.")]
Gone = Annotated[bool, typer.Option("--gone", help="Wait until it is not there instead.")]
Language = Annotated[str, typer.Option(help='Of tesseract: "eng", "deu", "eng+deu".')]

wait_app = typer.Typer(help="Wait for what the screen shows.", no_args_is_help=True, rich_markup_mode=None)
clipboard_app = typer.Typer(help="The desktop's clipboard.", no_args_is_help=True, rich_markup_mode=None)


def add_to(app: typer.Typer) -> None:
    """Add them to the program's commands."""
    app.add_typer(wait_app, name="wait")
    app.add_typer(clipboard_app, name="clipboard")
    for name, command in (
        ("changes", _changes),
        ("find-picture", _find_picture),
        ("read-text", _read_text),
        ("mark", _mark),
        ("cursor", _cursor),
    ):
        app.command(name=name)(command)


@wait_app.command("stable")
def wait_stable(
    sandbox: SandboxId,
    quiet: Annotated[int, typer.Option(metavar="MS", min=0, max=60_000, help="Nothing changed for so long.")] = 300,
    timeout: Timeout = 10,
    region: Region = None,
    ignore: Ignore = None,
    output: Output = "",
    json: Json = False,
) -> None:
    """Wait until nothing on the screen changes any more; 1 if it does not come to rest."""
    from desktop_sandbox.cli.eyes import wait_stable as run

    raise typer.Exit(run(sandbox, quiet, timeout, region, ignore or [], output, as_json=json))


@wait_app.command("change")
def wait_change(
    sandbox: SandboxId,
    since: Annotated[Optional[str], typer.Option(metavar="MOMENT", help="Default: from now on.")] = None,  # noqa: UP045
    timeout: Timeout = 10,
    region: Region = None,
    ignore: Ignore = None,
    output: Output = "",
    json: Json = False,
) -> None:
    """Wait until the screen shows something else; prints the regions, 1 if it does not."""
    from desktop_sandbox.cli.eyes import wait_change as run

    raise typer.Exit(run(sandbox, since, timeout, region, ignore or [], output, as_json=json))


@wait_app.command("window")
def wait_window(
    sandbox: SandboxId,
    title: Annotated[Optional[str], typer.Argument(help="In its title, in any case.")] = None,  # noqa: UP045
    window_class: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--class", help="In its class, in any case."),
    ] = None,
    regex: Regex = False,
    gone: Gone = False,
    timeout: Timeout = 10,
    json: Json = False,
) -> None:
    """Wait for a window; prints its id. The error lists those that are open."""
    from desktop_sandbox.cli.eyes import wait_window as run

    run(sandbox, title, window_class, regex=regex, gone=gone, timeout=timeout, as_json=json)


@wait_app.command("text")
def wait_text(
    sandbox: SandboxId,
    text: Annotated[str, typer.Argument(help="In a line of the screen, in any case.")],
    regex: Regex = False,
    gone: Gone = False,
    region: Region = None,
    language: Language = "eng",
    timeout: Timeout = 15,
    json: Json = False,
) -> None:
    """Wait until a text is read on the screen; prints where it is."""
    from desktop_sandbox.cli.eyes import wait_text as run

    run(sandbox, text, region, language, regex=regex, gone=gone, timeout=timeout, as_json=json)


@clipboard_app.command("get")
def clipboard_get(
    sandbox: SandboxId,
    picture: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="FILE", help='Save the picture in it as PNG; "-": to stdout.'),
    ] = None,
    json: Json = False,
) -> None:
    """Print the text in the clipboard, or save the picture."""
    from desktop_sandbox.cli.eyes import clipboard_get as run

    run(sandbox, picture, as_json=json)


@clipboard_app.command("set")
def clipboard_set(
    sandbox: SandboxId,
    text: Annotated[Optional[str], typer.Argument(help='"-" reads it from stdin.')] = None,  # noqa: UP045
    picture: Annotated[Optional[str], typer.Option(metavar="FILE", help="A PNG instead.")] = None,  # noqa: UP045
) -> None:
    """Put text or a picture into the clipboard."""
    from desktop_sandbox.cli.eyes import clipboard_set as run

    if (text is None) == (picture is None):
        raise typer.BadParameter("give a text, or --picture FILE")
    run(sandbox, text, picture)


def _changes(
    sandbox: SandboxId,
    since: Annotated[Optional[str], typer.Option(metavar="MOMENT")] = None,  # noqa: UP045
    picture: Annotated[Optional[str], typer.Option(metavar="FILE", help="A picture of the whole screen.")] = None,  # noqa: UP045
    region: Region = None,
    ignore: Ignore = None,
    json: Json = False,
) -> None:
    """Compare the screen with a moment or picture; prints the regions. With neither, prints a moment to begin with."""
    from desktop_sandbox.cli.eyes import changes as run

    run(sandbox, since, picture, region, ignore or [], as_json=json)


def _find_picture(
    sandbox: SandboxId,
    file: Annotated[Optional[str], typer.Argument(metavar="FILE", help="PNG, JPEG, WebP, BMP or GIF.")] = None,  # noqa: UP045
    like: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="X,Y,WIDTH,HEIGHT", help="Instead: what the screen shows here."),
    ] = None,
    region: Region = None,
    threshold: Annotated[float, typer.Option(min=0.3, max=1, help="Least score.")] = 0.9,
    scale: Annotated[str, typer.Option(metavar="SMALLEST,LARGEST", help="Within 0.5,2.")] = "1,1",
    json: Json = False,
) -> None:
    """Find a picture on the screen; prints box, score and scale, 1 if it is nowhere."""
    from desktop_sandbox.cli.eyes import find_picture as run

    if (file is None) == (like is None):
        raise typer.BadParameter("give a FILE, or --like X,Y,WIDTH,HEIGHT")
    raise typer.Exit(run(sandbox, file, like, region, threshold, scale, as_json=json))


def _read_text(sandbox: SandboxId, region: Region = None, language: Language = "eng", json: Json = False) -> None:
    """Read the text on the screen."""
    from desktop_sandbox.cli.eyes import read_text as run

    run(sandbox, region, language, as_json=json)


def _mark(
    sandbox: SandboxId,
    box: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="X,Y,WIDTH,HEIGHT[=LABEL]", help="A box to number. Repeatable."),
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="Number the lines of text on the screen.")] = False,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE")] = "",
    json: Json = False,
) -> None:
    """Save a screenshot with numbered boxes; prints what each number stands for."""
    from desktop_sandbox.cli.eyes import mark as run

    if not box and not text:
        raise typer.BadParameter("give --box, --text or both")
    run(sandbox, box or [], output, text=text, as_json=json)


def _cursor(
    sandbox: SandboxId,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="Save its picture as PNG.")] = "",
    json: Json = False,
) -> None:
    """Show the pointer: its place, shape and hot spot."""
    from desktop_sandbox.cli.eyes import cursor as run

    run(sandbox, output, as_json=json)
