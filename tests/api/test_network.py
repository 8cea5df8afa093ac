"""The routes about networks, over a fake node, and the SDK and the command line on top of them."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import typer

from desktop_sandbox import HeaderRule, InvalidRequestError, Policy, Sandbox
from desktop_sandbox.api import network_models
from desktop_sandbox.cli.network import policy_from
from desktop_sandbox.node.facts import SandboxSpec
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


SECRETS = {
    "headers": [{"host": "api.example.org", "set": {"Authorization": "Bearer 5ec2e7"}}],
    "proxy": "http://me:5ec2e7@10.1.2.3:3128",
}


def test_secrets_are_never_shown(http: httpx.Client) -> None:
    answer = http.post("/v1/sandboxes", json={"network": SECRETS})
    made = answer.json()
    assert made["network"] == {
        "allow": None,
        "deny": [],
        "headers": [{"host": "api.example.org", "set": {"Authorization": "***"}}],
        "proxy": "http://***@10.1.2.3:3128",
    }
    path = f"/v1/sandboxes/{made['id']}"
    answers = [answer, http.put(f"{path}/network", json={"policy": SECRETS})]
    answers += [http.get(f"{path}{of}") for of in ("", "/network", "/network/log", "/why", "/events")]
    answers.append(http.get("/v1/sandboxes"))
    assert not any("5ec2e7" in found.text for found in answers)


@pytest.mark.parametrize(
    "wrong",
    [
        {"deny": ["api.example.org"], **SECRETS},
        {"headers": [{"host": "api.example.org", "set": {"Host": "5ec2e7"}}]},
        {"headers": [{"host": "api.example.org", "set": {"X-Key": "5ec2e7\r\nX: y"}}]},
        {"headers": [{"host": "api.example.org", "set": {"X-Key": ["5ec2e7"]}}]},
        {"headers": [{"host": "api.example.org", "set": {"X-Key": "***"}}]},
        {"headers": [{"host": "api.example.org", "sets": {"X-Key": "5ec2e7"}}]},
        {"proxy": "ftp://me:5ec2e7@10.1.2.3:21"},
        {"proxy": {"url": "http://me:5ec2e7@10.1.2.3:3128"}},
        "http://me:5ec2e7@10.1.2.3:3128",
    ],
)
def test_a_wrong_policy_is_refused_without_its_secrets(http: httpx.Client, wrong: object) -> None:
    answer = http.post("/v1/sandboxes", json={"network": wrong})
    assert answer.status_code == 422
    assert answer.json()["hint"]
    assert "5ec2e7" not in answer.text


def test_models_do_not_tell_their_secrets() -> None:
    rules = network_models.NetworkRules.model_validate(SECRETS)
    assert "5ec2e7" not in f"{rules!r} {rules}"
    policy = Policy(headers=[HeaderRule("api.example.org", {"X": "5ec2e7"})], proxy="http://me:5ec2e7@10.1.2.3:3128")
    assert "5ec2e7" not in f"{policy!r} {policy} {SandboxSpec(network=SECRETS)!r}"


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
        shown = Policy(headers=(HeaderRule("api.example.org", {"X-Key": "***"}),), proxy="socks5://***@10.1.2.3:1080")
        given = Policy(headers=[HeaderRule("API.example.org", {"X-Key": "k"})], proxy="socks5://me:p@10.1.2.3:1080")
        assert desktop.network.set(given).policy == shown
        with pytest.raises(InvalidRequestError, match="the mask that is shown"):
            desktop.network.set(shown)
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


def test_headers_and_proxy_of_the_command_line(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("5ec2e7\n")
    headers = ["a.example X-Key: k: 1", f"a.example Authorization:@{token}", "b.example X: y"]
    policy = policy_from(None, [], [], headers, "socks5://10.1.2.3:1080")
    assert policy == Policy(
        deny=[],
        headers=[
            HeaderRule("a.example", {"X-Key": "k: 1", "Authorization": "5ec2e7"}),
            HeaderRule("b.example", {"X": "y"}),
        ],
        proxy="socks5://10.1.2.3:1080",
    )
    for wrong in ("a.example", "a.example X", "X: y", "a b c: d", "a.example X:", f"a.example X: @{tmp_path}/none"):
        with pytest.raises(typer.BadParameter) as caught:
            policy_from(None, [], [], [wrong])
        assert "--header" in str(caught.value)
    with pytest.raises(typer.BadParameter):
        policy_from("none", [], [], [], "http://10.1.2.3:1")
