"""Commands about what a desktop may reach, and what it reached."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from desktop_sandbox import HeaderRule, Policy, Sandbox
from desktop_sandbox.cli.output import print_json, print_pairs, print_table, size
from desktop_sandbox.sdk.network import NetworkEntry, NetworkState

_MODES = ("none", "internet")


def policy_from(
    mode: str | None, allow: Sequence[str], deny: Sequence[str], header: Sequence[str] = (), proxy: str | None = None
) -> Policy | str | None:
    """The policy that options ask for; None: none was asked for."""
    if mode is not None and mode not in _MODES:
        raise typer.BadParameter(f"--network {mode!r}: none or internet; for more, --allow and --deny")
    if not allow and not deny and not header and proxy is None:
        return mode
    if mode == "none":
        raise typer.BadParameter("--network none allows nothing: leave it out, or leave out what goes with a network")
    if mode == "internet" and allow:
        allow = ["internet", *allow]
    return Policy(
        allow=[*allow] if allow else None,
        deny=[*deny],
        headers=_header_rules(header),
        proxy=None if proxy is None else _secret(proxy, "--proxy"),
    )


def _header_rules(options: Sequence[str]) -> list[HeaderRule]:
    rules: dict[str, dict[str, str]] = {}
    for option in options:
        place, colon, value = option.partition(":")
        words = place.split()
        if len(words) != 2 or not colon or not value.strip():
            raise typer.BadParameter("--header: write 'HOST NAME: VALUE', or 'HOST NAME: @FILE'")
        rules.setdefault(words[0], {})[words[1]] = _secret(value.strip(), "--header")
    return [HeaderRule(host, headers) for host, headers in rules.items()]


def _secret(text: str, option: str) -> str:
    """What was given, or what the file has that was named, so that no list of processes shows it."""
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise typer.BadParameter(f"{option}: {text[1:]} cannot be read") from None


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
        pairs += [("headers", f"{rule.host}: {', '.join(rule.set)}") for rule in state.policy.headers]
        if state.policy.proxy is not None:
            pairs.append(("proxy", state.policy.proxy))
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
