"""What callers search for: plain text, or a regular expression that cannot take for ever. Pure.

Python's `re` backtracks and cannot be stopped, and what is searched (a title, a text on the screen) a guest chose.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from desktop_sandbox.errors import InvalidRequestError

LONGEST_PATTERN = 500
LONGEST_SUBJECT = 500
MOST_REPEATS = 3
_FEW = 32


def pattern_of(text: str, *, regex: bool, ignore_case: bool = True) -> re.Pattern[str]:
    """What to search with; white space in plain `text` stands for any, or none.

    InvalidRequestError for nothing, a bad expression, or one that repeats repeats or has more than MOST_REPEATS of
    unbounded length.
    """
    if not text.strip() or len(text) > LONGEST_PATTERN:
        raise InvalidRequestError(
            f"A text of {len(text)} characters to look for.", hint=f"From 1 to {LONGEST_PATTERN}, not only white space."
        )
    source = text if regex else r"\s*".join(map(re.escape, text.split()))
    flags = re.IGNORECASE if ignore_case else 0
    if regex:
        _check(text, flags)
    return re.compile(source, flags)


def _check(source: str, flags: int) -> None:
    try:
        tree = parser.parse(source, flags)
        depths = list(_long_repeats(tree, 1))
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidRequestError(
            f"{source!r} is no regular expression: {error}.", hint="Leave regex out to look for plain text."
        ) from error
    if len(depths) > MOST_REPEATS or any(depth > 1 for depth in depths):
        raise InvalidRequestError(
            f"{source!r} may take for ever to search.",
            hint=f"At most {MOST_REPEATS} of * and +, none inside another.",
        )


def _long_repeats(tree: Any, depth: int) -> Iterator[int]:
    """How deep each repeat of more than a few times lies within other repeats."""
    for operation, argument in tree:
        if operation in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            _, most, inner = argument
            long = most == codes.MAXREPEAT or most > _FEW
            if long:
                yield depth
            yield from _long_repeats(inner, depth + long)
        elif operation is codes.SUBPATTERN:
            yield from _long_repeats(argument[-1], depth)
        elif operation is codes.BRANCH:
            for branch in argument[1]:
                yield from _long_repeats(branch, depth)
        elif operation in (codes.ASSERT, codes.ASSERT_NOT):
            yield from _long_repeats(argument[1], depth)
        elif operation is codes.ATOMIC_GROUP:
            yield from _long_repeats(argument, depth)
        elif operation is codes.GROUPREF_EXISTS:
            for branch in argument[1:]:
                yield from _long_repeats(branch or (), depth)
