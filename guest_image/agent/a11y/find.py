"""Which of the objects are meant: by role, name, state. Pure, but for the time a regular expression takes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guest_image.agent.a11y import states
from guest_image.agent.a11y.node import text
from guest_image.agent.a11y.tree import TreeError, about

if TYPE_CHECKING:
    from guest_image.agent.a11y.node import Node
    from guest_image.agent.a11y.tree import Read

MAX_PATTERN = 200
_LISTED = 12


@dataclass(frozen=True)
class Query:
    """`match`: how `name` is meant, "substring" (in any case), "exact" or "regex"; `states`: all of them."""

    role: str | None = None
    name: str | None = None
    match: str = "substring"
    states: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.match not in ("substring", "exact", "regex"):
            raise TreeError("invalid", f"match is {self.match!r:.40}", "substring, exact or regex")
        for state in self.states:
            if state.lstrip("-") not in (*states.NAMES, "disabled", "hidden"):
                raise TreeError("invalid", f"no state {state!r:.40}", f"states: {', '.join(states.NAMES)}")
        if self.name is not None and len(self.name) > MAX_PATTERN:
            raise TreeError("invalid", f"a name of {len(self.name)} characters", f"at most {MAX_PATTERN}")
        if self.match == "regex":
            try:
                re.compile(self.name or "")
            except re.error as error:
                raise TreeError("invalid", f"{self.name!r:.80} is no regular expression: {error}") from error

    def names(self, node: Node) -> bool:
        """Whether the object is called so; a field without a name goes by what it holds."""
        if self.name is None:
            return True
        called = node.name or (node.value or "")
        if self.match == "exact":
            return called == " ".join(self.name.split())
        if self.match == "regex":
            return re.search(self.name, called) is not None
        return " ".join(self.name.split()).casefold() in called.casefold()

    def fits(self, node: Node) -> bool:
        """Whether the object is meant."""
        if self.role is not None and not states.same_role(self.role, node.role):
            return False
        if not self.names(node):
            return False
        has = set(states.said(node.states)) | {name for name in states.NAMES if node.is_(name)}
        return all((state.lstrip("-") in has) != state.startswith("-") for state in self.states)

    def __str__(self) -> str:
        sign = {"substring": "~", "exact": "=", "regex": " matches "}[self.match]
        parts = [] if self.role is None else [f"role={self.role}"]
        parts += [] if self.name is None else [f"name{sign}{self.name!r:.80}"]
        parts += [f"states={','.join(self.states)}"] if self.states else []
        return " ".join(parts) or "of any kind"


def answer(found: Read, query: Query, limit: int) -> dict[str, Any]:
    """{"apps", "nodes", "total", "truncated"}. TreeError "not-found" says what there is instead."""
    nodes = [(number, node) for number, node in found.nodes() if node.depth > 0]
    fitting = [(number, node) for number, node in nodes if query.fits(node)]
    if not fitting:
        raise _nothing([node for _, node in nodes], found, query)
    return {
        "apps": [about(walk) for walk in found.walks],
        "nodes": [{"app": number, **node.to_wire()} for number, node in fitting[:limit]],
        "total": len(fitting),
        "truncated": found.cut,
    }


def _nothing(nodes: list[Node], found: Read, query: Query) -> TreeError:
    """What is there instead: same role and other names, or same name and other roles, or the roles there are."""
    hints = []
    same_role = [node for node in nodes if query.role is not None and states.same_role(query.role, node.role)]
    same_name = [node for node in nodes if query.name is not None and query.names(node)]
    if same_name:
        hints.append(f"with that name: {_listed(same_name, of=True)}")
    if same_role:
        hints.append(f"{same_role[0].role}s here: {_listed(same_role)}")
    if not hints:
        roles = Counter(node.role for node in nodes)
        listed = ", ".join(f"{count} {role}" for role, count in roles.most_common(_LISTED))
        hints.append(f"roles here: {listed or 'none'}")
    if found.cut:
        hints.append(f"not all was read ({', '.join(found.cut)}): name an app, or allow more")
    hints += [f"{walk.root[0]} (pid {walk.pid}) {walk.error}" for walk in found.walks if walk.error][:3]
    return TreeError("not-found", f"no element {query}", "; ".join(hints)[:1000])


def _listed(nodes: list[Node], *, of: bool = False) -> str:
    named = [f"{node.role + ' ' if of else ''}{text(node.name or node.value or '', 40)!r}" for node in nodes]
    shown = list(dict.fromkeys(named))
    return ", ".join(shown[:_LISTED]) + (f" and {len(shown) - _LISTED} more" if len(shown) > _LISTED else "")
