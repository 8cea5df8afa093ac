"""`python -m bench.stream`: the live view against x11vnc with noVNC and Selkies, on one framebuffer, in one run."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, async_playwright
from rich.console import Console
from rich.progress import Progress

from bench.stream.candidates import CANDIDATES, NotHere
from bench.stream.guest import measure_guest
from bench.stream.measure import Counts, Figures, visit
from bench.stream.network import Network, network
from bench.stream.report import guest_table, soak_table, table
from bench.stream.screen import chromium, native_screen
from bench.stream.soak import soak

FULL, QUICK = Counts(25, 25, 4, 8.0), Counts(10, 10, 2, 4.0)
_ARGUMENTS = ["--disable-background-networking", "--no-first-run", "--autoplay-policy=no-user-gesture-required"]
Found = dict[str, Figures]


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=chromium(), args=[*_ARGUMENTS, *sandbox])
        yield found
        await found.close()


async def run(
    names: Sequence[str], networks: Sequence[Network | None], rounds: int, counts: Counts
) -> tuple[dict[str, Found], list[str]]:
    """Measure these candidates over each network, in turns. Also what was left out, and why."""
    found = {str(each): {name: Figures() for name in names} for each in networks}
    left_out: list[str] = []
    with Progress(transient=True) as progress:
        task = progress.add_task("starting", total=rounds * len(names) * len(networks))
        async with native_screen() as screen, browser() as chrome:
            for turn in range(rounds):
                for each in networks:
                    for name in names:
                        progress.update(task, description=f"{name}, {each or 'loopback'}, round {turn + 1}")
                        try:
                            await visit(chrome, screen, CANDIDATES[name], counts, found[str(each)][name], each)
                        except (NotHere, TimeoutError) as error:
                            left_out.append(f"{name}, {each or 'loopback'}: {error}")
                        progress.advance(task)
    return found, left_out


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.stream", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(CANDIDATES), help="repeatable; default: all")
    parser.add_argument("--rounds", type=int, default=2, help="how often each is visited (default 2)")
    parser.add_argument("--quick", action="store_true", help="fewer samples")
    parser.add_argument(
        "--network", action="append", type=network, metavar="MS/PERCENT",
        help="through a relay with so much delay (round trip) and loss (each way), for example 20/1; repeatable",
    )  # fmt: skip
    parser.add_argument("--guest", metavar="TEMPLATE", help="a real sandbox of this template instead, ours alone")
    parser.add_argument(
        "--soak", type=float, metavar="MINUTES", help="ten viewers that come and go instead, ours alone"
    )
    parser.add_argument("--json", type=Path, help="write everything to this file")
    options = parser.parse_args()
    began, load = time.time(), os.getloadavg()[0]
    if options.guest:
        return _guest(options.guest, QUICK if options.quick else FULL)
    if options.soak:
        return _soak(options.soak)
    networks: list[Network | None] = options.network or [None]
    names = options.only or list(CANDIDATES)
    everything, left_out = asyncio.run(run(names, networks, options.rounds, QUICK if options.quick else FULL))
    console = Console()
    for each in networks:
        found = {name: figures for name, figures in everything[str(each)].items() if figures.change_ms}
        console.print(table(found, each))
    for what in left_out:
        console.print(f"left out: {what}", markup=False)
    console.print(f"{time.time() - began:.0f} s; load average {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    if options.json:
        _write(options.json, everything, left_out)


def _guest(template: str, counts: Counts) -> None:
    async def measure() -> None:
        async with browser() as chrome:
            Console().print(guest_table(await measure_guest(chrome, template, 2 * counts.keys, counts.seconds)))

    load = os.getloadavg()[0]
    asyncio.run(measure())
    Console().print(f"load average {load:.1f} before, {os.getloadavg()[0]:.1f} after")


def _soak(minutes: float) -> None:
    async def measure() -> None:
        async with native_screen() as screen, browser() as chrome:
            Console().print(soak_table(await soak(chrome, screen, minutes, max(5.0, 60 * minutes / 20))))

    asyncio.run(measure())


def _write(path: Path, everything: dict[str, Found], left_out: list[str]) -> None:
    document: dict[str, Any] = {"left_out": left_out}
    for way, found in everything.items():
        document["loopback" if way == "None" else way] = {name: vars(one) for name, one in found.items()}
    path.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
