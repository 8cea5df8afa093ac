"""What was measured, as tables. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from rich.table import Table

from bench.stream.content import CONTENTS
from bench.stream.guest import FRAMES_PER_S, GuestFigures
from bench.stream.measure import Figures
from bench.stream.network import Network
from bench.stream.soak import VIEWERS, Soak


def table(found: Mapping[str, Figures], network: Network | None) -> Table:
    """The figures of one network, one column a candidate."""
    way = "loopback" if network is None else f"a network of {network} (round trip; loss each way)"
    shown = Table(title=f"live view, native Xvfb 1280×800, headless Chromium, {way}; all on this host's cores")
    shown.add_column("")
    for name in found:
        shown.add_column(name, justify="right")
    each = found.values()
    shown.add_row("change → page, p50 / p95 ms", *(quantiles(one.change_ms) for one in each))
    shown.add_row("key → page, p50 / p95 ms", *(quantiles(one.key_ms) for one in each))
    shown.add_row("not seen within 5 s", *(str(one.lost) for one in each))
    shown.add_row("scrolling ends → text crisp, median / worst ms", *(_worst(one.crisp_ms) for one in each))
    shown.add_row("page turned, last packet lost → crisp", *(_worst(one.crisp_after_loss_ms) for one in each))
    shown.add_row("not crisp within 6 s", *(str(one.never_crisp) for one in each))
    for content in CONTENTS:
        shown.add_row(f"{content}: share of a core", *(_median(one.cores, content, "{:.1%}") for one in each))
        if content != "still":
            pictures = (_median(one.pictures_per_s, content, "{:.0f}") for one in each)
            shown.add_row(f"{content}: pictures a second", *pictures)
        shown.add_row(f"{content}: kbit/s", *(_median(one.kilobits_per_s, content, "{:.0f}") for one in each))
    return shown


def guest_table(found: GuestFigures) -> Table:
    """The figures of a real sandbox."""
    shown = Table(title=f"live view of a sandbox of {found.template}, headless Chromium, loopback", show_header=False)
    shown.add_row("key → page, p50 / p95 ms", quantiles(found.key_ms))
    shown.add_row("of it: API → key → guest's program → pixel in its memory", quantiles(found.inside_ms))
    shown.add_row("not seen within 5 s", str(found.lost))
    shown.add_row("still: share of a core (server and media process)", f"{found.still_cores:.1%}")
    shown.add_row(f"{FRAMES_PER_S} changes a second: share of a core", f"{found.moving_cores:.1%}")
    shown.add_row(f"{FRAMES_PER_S} changes a second: pictures a second", f"{found.pictures_per_s:.0f}")
    return shown


def soak_table(found: Soak) -> Table:
    """All samples of a soak; the last line is the growth an hour of the second half, in which nothing warms up."""
    title = f"{VIEWERS} viewers come and go: {found.joined} visits saw the desktop, {found.failed} did not"
    shown = Table("minutes", "resident MB", "descriptors", "threads", "change → page, p50 ms", title=title)
    for one in found.samples:
        facts = (one.minutes, one.resident_mb, one.descriptors, one.threads, one.change_ms)
        shown.add_row(*(f"{fact:.1f}" if isinstance(fact, float) else str(fact) for fact in facts))
    half = found.samples[len(found.samples) // 2 :]
    if len(half) > 2:
        hours = [one.minutes / 60 for one in half]
        rows = ([one.resident_mb, one.descriptors, one.threads, one.change_ms] for one in half)
        slopes = (statistics.linear_regression(hours, column).slope for column in zip(*rows, strict=True))
        shown.add_section()
        shown.add_row("an hour", *(f"{slope:+.1f}" for slope in slopes))
    return shown


def quantiles(samples: Sequence[float]) -> str:
    """p50 / p95, linear between samples."""
    if len(samples) < 2:
        return "-"
    return f"{statistics.median(samples):.0f} / {statistics.quantiles(samples, n=20, method='inclusive')[-1]:.0f}"


def _worst(samples: Sequence[float]) -> str:
    return f"{statistics.median(samples):.0f} / {max(samples):.0f}" if samples else "-"


def _median(samples: Mapping[str, Sequence[float]], content: str, form: str) -> str:
    return form.format(statistics.median(samples[content])) if samples.get(content) else "-"
