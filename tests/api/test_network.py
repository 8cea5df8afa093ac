"""The routes about networks, over a fake node, and the SDK and the command line on top of them."""

from __future__ import annotations

import httpx
import pytest

from desktop_sandbox import InvalidRequestError, Policy, Sandbox
from desktop_sandbox.cli.network import policy_from
from desktop_sandbox.sdk.network import policy_body
from tests.live_server import Live


def test_a_policy_is_given_at_the_start_shown_and_changed(http: httpx.Client) -> None:
    rules = {"allow": ["*.example.org:443"], "deny": ["ads.example.org"]}
    made = http.post("/v1/sandboxes", json={"network": rules}).json()
    assert made["network"] == rules
    path = f"/v1/sandboxes/{made['id']}/network"
    found = http.get(path).json()
    assert (found["policy"], found["available"], found["why"]) == (rules, True, None)
    assert found["counters"]["open"] == 1
    assert http.put(path, json={"policy": "none"}).json()["policy"] == "none"
    assert http.get(f"/v1/sandboxes/{made['id']}").json()["network"] == "none"
    assert http.post("/v1/sandboxes", json={}).json()["network"] == "internet"


@pytest.mark.parametrize(
    "network", ["all", 7, {"allow": ["https://a.example/"]}, {"alow": []}, {"allow": "a.example"}, {"allow": ["a:0"]}]
)
def test_a_wrong_policy_is_refused(http: httpx.Client, network: object) -> None:
    answer = http.post("/v1/sandboxes", json={"network": network})
    assert answer.status_code == 422
    made = http.post("/v1/sandboxes", json={}).json()
    assert http.put(f"/v1/sandboxes/{made['id']}/network", json={"policy": network}).status_code == 422


def test_the_log_is_listed(http: httpx.Client) -> None:
    made = http.post("/v1/sandboxes", json={}).json()
    path = f"/v1/sandboxes/{made['id']}/network/log"
    entries = http.get(path).json()["entries"]
    assert [entry["outcome"] for entry in entries] == ["allowed", "refused"]
    assert entries[0]["time"] == "2023-11-14T22:13:20.500Z"
    assert len(http.get(path, params={"limit": 1}).json()["entries"]) == 1
    assert http.get(path, params={"limit": 0}).status_code == 422
    assert http.get("/v1/sandboxes/nobody/network/log").status_code == 404


def test_metrics_show_what_passed(http: httpx.Client) -> None:
    made = http.post("/v1/sandboxes", json={}).json()
    text = http.get("/metrics").text
    assert 'desktop_sandbox_network_connections_total{outcome="refused"} 2.0' in text
    assert 'desktop_sandbox_network_bytes_total{direction="received"} 6.0' in text
    line = f'desktop_sandbox_network_sandbox_bytes_total{{direction="sent",sandbox="{made["id"]}"}} 5.0'
    assert line in text
    assert f'desktop_sandbox_network_open_connections{{sandbox="{made["id"]}"}} 1.0' in text


def test_the_sdk_has_it_all(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    where = {"url": live.url, "api_key": live.key}
    policy = Policy(allow=["*.example.org"], deny=["x.example.org"], max_connections=9)
    with Sandbox.create(network=policy, **where) as desktop:
        state = desktop.network.get()
        assert state.policy == Policy(allow=("*.example.org",), deny=("x.example.org",), max_connections=9)
        assert desktop.network.set("internet").policy == "internet"
        assert desktop.get_info().network == "internet"
        first, second = desktop.network.log()
        assert (first.name, first.received_bytes, second.rule) == ("a.example", 2000, "b.example")
        with pytest.raises(InvalidRequestError, match="names no host"):
            desktop.network.set(Policy(allow=["not a name"]))


@pytest.mark.parametrize(
    ("mode", "allow", "deny", "policy"),
    [
        (None, [], [], None),
        ("none", [], [], "none"),
        ("internet", [], [], "internet"),
        (None, ["a.example"], [], Policy(allow=["a.example"])),
        (None, [], ["a.example"], Policy(deny=["a.example"])),
        ("internet", ["10.0.0.1"], ["a.example"], Policy(allow=["internet", "10.0.0.1"], deny=["a.example"])),
    ],
)
def test_options_of_the_command_line(
    mode: str | None, allow: list[str], deny: list[str], policy: Policy | str | None
) -> None:
    found = policy_from(mode, allow, deny)
    assert (found and policy_body(found)) == (policy and policy_body(policy))
