"""Ids and names are one segment of a path: none leads to another."""

from __future__ import annotations

import pytest

from desktop_sandbox import Host, InvalidRequestError, NotFoundError, Sandbox
from desktop_sandbox.sdk.requests import segment
from tests.live_server import Live


def test_a_segment_is_quoted_or_refused() -> None:
    assert segment("sb-0_1.a~") == "sb-0_1.a~"
    assert segment("é ?#%") == "%C3%A9%20%3F%23%25"
    for name in ("", ".", "..", "a/b", "/", "../x"):
        with pytest.raises(InvalidRequestError) as caught:
            segment(name)
        assert caught.value.hint


def test_no_id_leads_elsewhere(live: Live) -> None:
    host = Host.connect()
    with Sandbox.create() as desktop:
        snapshot = desktop.checkpoint().snapshot_id
        before = len(live.node.calls)
        elsewhere = f"../sandboxes/{desktop.sandbox_id}"
        for call in (
            lambda: Sandbox.connect(elsewhere),
            lambda: host.delete_snapshot(elsewhere),
            lambda: host.get_snapshot(".."),
            lambda: host.thumbnail(elsewhere),
            lambda: host.remove_template(elsewhere),
            lambda: host.distrust(elsewhere),
            lambda: host.trust(elsewhere, "k"),
            lambda: desktop.stream.revoke(".."),
            lambda: desktop.recordings.remove("../recording"),
            lambda: desktop.recordings.read("../windows"),
        ):
            with pytest.raises(InvalidRequestError, match="no id"):
                call()
        assert len(live.node.calls) == before, "nothing was asked of the node"
        with pytest.raises(NotFoundError):
            Sandbox.connect(f"{desktop.sandbox_id}?")
        with pytest.raises(NotFoundError):
            host.delete_snapshot(f"{snapshot}?")
        assert [found.snapshot_id for found in host.snapshots()] == [snapshot]
    host.close()
