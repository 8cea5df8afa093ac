"""Commands about what a desktop may reach, and what it reached."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from desktop_sandbox import Policy, Sandbox
from desktop_sandbox.cli.output import print_json, print_pairs, print_table, size
from desktop_sandbox.sdk.network import NetworkEntry, NetworkState

_MODES = ("none", "internet")


def policy_from(mode: str | None, allow: Sequence[str], deny: Sequence[str]) -> Policy | str | None:
    """The policy that options ask for; None: none was asked for."""
    if mode is not None and mode not in _MODES:
        raise typer.BadParameter(f"--network {mode!r}: none or internet; for more, --allow and --deny")
    if not allow and not deny:
        return mode
    if mode == "none":
        raise typer.BadParameter("--network none allows nothing: leave it out, or leave out --allow and --deny")
    if mode == "internet" and allow:
        allow = ["internet", *allow]
    return Policy(allow=[*allow] if allow else None, deny=[*deny])


def show(sandbox_id: str, policy: Policy | str | None, *, as_json: bool) -> None:
    """Show a desktop's network; first change its policy, if one is given."""
    desktop = Sandbox.connect(sandbox_id)
    try:
        state = desktop.network.get() if policy is None else desktop.network.set(policy)
    finally:
        desktop.close()
    if as_json:
        print_json(state)
        return
    print_pairs(_pairs(state))


def _pairs(state: NetworkState) -> list[tuple[str, str]]:
    pairs = []
    if isinstance(state.policy, str):
        pairs.append(("policy", state.policy))
    else:
        allow = ["internet"] if state.policy.allow is None else state.policy.allow
        pairs += [("allow", "  ".join(allow) or "nothing"), ("deny", "  ".join(state.policy.deny) or "nothing")]
    if not state.available:
        pairs.append(("no network", state.why or ""))
    counters = state.counters
    pairs += [
        ("connections", f"{counters['connections']}, {counters['open']} open now"),
        ("refused", str(counters["refused"])),
        ("failed", str(counters["failed"])),
        ("sent", size(counters["sent_bytes"])),
        ("received", size(counters["received_bytes"])),
    ]
    return pairs


def log(sandbox_id: str, limit: int, *, as_json: bool) -> None:
    """List a desktop's last connections."""
    desktop = Sandbox.connect(sandbox_id)
    try:
        entries = desktop.network.log(limit)
    finally:
        desktop.close()
    if as_json:
        print_json(entries)
        return
    rows = [_row(entry) for entry in entries]
    columns = ("TIME", "WHAT", "OUTCOME", "NAME", "ADDRESS", "SENT", "RECEIVED", "WHY")
    print_table(columns, rows, empty="no connections so far")


def _row(entry: NetworkEntry) -> tuple[str, ...]:
    where = "" if entry.address is None else f"{entry.address} port {entry.port}"
    carried = (size(entry.sent_bytes), size(entry.received_bytes)) if entry.kind == "tcp" else ("", "")
    why = entry.reason or ("" if entry.rule is None else f"rule {entry.rule}")
    return (f"{entry.time:%H:%M:%S}", entry.kind, entry.outcome, entry.name or "", where, *carried, why)
