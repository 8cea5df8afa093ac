"""`code-context KERNEL`: a context behind this process's pipes. `code-context --spare KERNEL`: see `spare`."""

import sys

from guest_image.code.spare import join


def main(argv: list[str]) -> int:
    """Its exit code."""
    if argv[:1] == ["--spare"]:
        import asyncio

        from guest_image.code.spare import wait

        return asyncio.run(wait(argv[1]))
    if (code := join(argv[0])) is not None:
        return code
    import asyncio

    from guest_image.code.context import serve

    return asyncio.run(serve(argv[0]))


sys.exit(main(sys.argv[1:]))
