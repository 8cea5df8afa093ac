"""What a policy says, as tables, and what must hold of any policy and any address."""

from __future__ import annotations

import contextlib
import ipaddress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.network.addresses import Kind, carried, kind_of, parse_address
from desktop_sandbox.network.names import NameMemory, StandIns, matches, normal_name, normal_pattern
from desktop_sandbox.network.policy import Answer, parse_policy, policy_json
from desktop_sandbox.network.rules import parse_rule

ALLOW, REFUSE, ASK = Answer.ALLOW, Answer.REFUSE, Answer.ASK
PUBLIC = "93.184.216.34"


def address(text: str) -> Any:
    found = parse_address(text)
    assert found is not None, text
    return found


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("10.513", "10.0.2.1"),
        ("169.254.43518", "169.254.169.254"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("[::ffff:a00:1]", "10.0.0.1"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_an_address_is_known_in_whatever_way_it_is_written(text: str, means: str) -> None:
    assert str(parse_address(text)) == means


@pytest.mark.parametrize(
    "text", ["", "example.org", "1.2.3.4.5", "256.1.1.1", "1.2.3.65536", "08", "-1", "1..2", "१.१.१.१"]
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse_address(text) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (PUBLIC, Kind.PUBLIC),
        ("1.1.1.1", Kind.PUBLIC),
        ("2606:4700::1111", Kind.PUBLIC),
        ("10.0.0.1", Kind.PRIVATE),
        ("172.16.0.1", Kind.PRIVATE),
        ("172.32.0.1", Kind.PUBLIC),
        ("192.168.1.1", Kind.PRIVATE),
        ("100.64.0.1", Kind.PRIVATE),
        ("fd12::1", Kind.PRIVATE),
        ("127.0.0.1", Kind.GUARDED),
        ("127.255.255.254", Kind.GUARDED),
        ("::1", Kind.GUARDED),
        ("169.254.169.254", Kind.GUARDED),
        ("fe80::1", Kind.GUARDED),
        ("fec0::1", Kind.GUARDED),
        ("fd00:ec2::254", Kind.GUARDED),
        ("100.100.100.200", Kind.GUARDED),
        ("168.63.129.16", Kind.GUARDED),
        ("198.18.0.1", Kind.GUARDED),
        ("2001:db8::1", Kind.GUARDED),
        ("4000::1", Kind.GUARDED),
        ("0.0.0.0", Kind.NEVER),
        ("0.1.2.3", Kind.NEVER),
        ("224.0.0.1", Kind.NEVER),
        ("255.255.255.255", Kind.NEVER),
        ("240.0.0.1", Kind.NEVER),
        ("::", Kind.NEVER),
        ("ff02::1", Kind.NEVER),
        # what carries an IPv4 address
        ("64:ff9b::10.0.0.1", Kind.GUARDED),
        ("64:ff9b::127.0.0.1", Kind.GUARDED),
        ("64:ff9b:1::10.0.0.1", Kind.NEVER),
        ("2002:a00:1::1", Kind.GUARDED),
        ("2002:7f00:1::1", Kind.GUARDED),
        ("2002:e000:1::1", Kind.NEVER),
        ("2001:0:a00:1::", Kind.NEVER),
        ("::10.0.0.1", Kind.GUARDED),
        ("fe80::5efe:10.0.0.1", Kind.GUARDED),
        ("2606:4700::5efe:10.0.0.1", Kind.GUARDED),
    ],
)
def test_the_kind_of_an_address(text: str, kind: Kind) -> None:
    assert kind_of(ipaddress.ip_address(text)) is kind


def test_a_hosts_own_address_is_guarded_whatever_it_is() -> None:
    assert kind_of(address(PUBLIC), {address(PUBLIC)}) is Kind.GUARDED
    assert kind_of(ipaddress.ip_address(f"::ffff:{PUBLIC}"), {address(PUBLIC)}) is Kind.GUARDED


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Example.ORG.", "example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("a_b.example", "a_b.example"),
        ("example.123", None),
        ("127.0.0.1", None),
        ("0x7f.1", None),
        ("2130706433", None),
        ("", None),
        (".", None),
        ("a..b", None),
        ("-a.example", None),
        ("a b.example", None),
        ("a" * 64 + ".example", None),
        (".".join(["a" * 60] * 5), None),
        ("exa\0mple.org", None),
        ("example.org/", None),
    ],
)
def test_names_have_one_form(text: str, normal: str | None) -> None:
    assert normal_name(text) == normal


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("example.org", "example.org", True),
        ("example.org", "www.example.org", False),
        ("*.example.org", "www.example.org", True),
        ("*.example.org", "a.b.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", "badexample.org", False),
        ("*", "anything.example", True),
    ],
)
def test_patterns(pattern: str, name: str, covered: bool) -> None:
    assert matches(str(normal_pattern(pattern)), name) is covered


@pytest.mark.parametrize(
    ("policy", "to", "port", "answer"),
    [
        ("none", PUBLIC, 443, REFUSE),
        ("internet", PUBLIC, 443, ALLOW),
        ("internet", PUBLIC, 25, ALLOW),
        ("internet", "10.0.0.1", 80, REFUSE),
        ("internet", "127.0.0.1", 80, REFUSE),
        ("internet", "169.254.169.254", 80, REFUSE),
        ("internet", "224.0.0.1", 80, REFUSE),
        ("internet", "64:ff9b::10.0.0.1", 80, REFUSE),
        ({"allow": []}, PUBLIC, 443, REFUSE),
        ({"allow": ["0.0.0.0/0"]}, PUBLIC, 443, ALLOW),
        ({"allow": ["0.0.0.0/0"]}, "10.0.0.1", 443, REFUSE),
        ({"allow": ["0.0.0.0/0"]}, "127.0.0.1", 443, REFUSE),
        ({"allow": ["::/0"]}, "::1", 443, REFUSE),
        ({"allow": ["8.0.0.0/5"]}, "10.0.0.1", 443, REFUSE),
        ({"allow": ["10.0.0.0/8"]}, "10.1.2.3", 443, ALLOW),
        ({"allow": ["10.1.2.3"]}, "10.1.2.3", 443, ALLOW),
        ({"allow": ["10.1.2.3"]}, "10.1.2.4", 443, REFUSE),
        ({"allow": ["10.1.2.3:5432"]}, "10.1.2.3", 443, REFUSE),
        ({"allow": ["10.1.2.3:80,5000-6000"]}, "10.1.2.3", 5432, ALLOW),
        ({"allow": ["127.0.0.0/8"]}, "127.0.0.1", 80, REFUSE),
        ({"allow": ["127.0.0.1:3000"]}, "127.0.0.1", 3000, ALLOW),
        ({"allow": ["127.0.0.1:3000"]}, "127.0.0.1", 3001, REFUSE),
        ({"allow": ["2130706433"]}, "127.0.0.1", 80, ALLOW),
        ({"allow": ["169.254.0.0/16"]}, "169.254.169.254", 80, REFUSE),
        ({"allow": ["169.254.169.254"]}, "169.254.169.254", 80, ALLOW),
        ({"allow": ["224.0.0.1"]}, "224.0.0.1", 80, REFUSE),
        ({"allow": ["0.0.0.0"]}, "0.0.0.0", 80, REFUSE),
        ({"allow": ["::ffff:10.1.2.3"]}, "10.1.2.3", 80, ALLOW),
        ({"allow": ["::ffff:10.0.0.0/104"]}, "10.1.2.3", 80, ALLOW),
        ({"allow": ["[fd12::]/16"]}, "fd12::1", 80, ALLOW),
        ({"allow": ["[fd12::1]:80"]}, "fd12::1", 80, ALLOW),
        ({"deny": [PUBLIC]}, PUBLIC, 443, REFUSE),
        ({"deny": ["93.184.0.0/16:443"]}, PUBLIC, 443, REFUSE),
        ({"deny": ["93.184.0.0/16:443"]}, PUBLIC, 80, ALLOW),
        ({"deny": [f"64:ff9b::{PUBLIC}"]}, PUBLIC, 80, ALLOW),
        ({"allow": ["internet", "10.1.2.3"]}, "10.1.2.3", 80, ALLOW),
        ({"allow": ["internet", "10.1.2.3"]}, PUBLIC, 80, ALLOW),
        ({"allow": ["internet:443"]}, PUBLIC, 80, REFUSE),
        ({"allow": ["10.1.2.3"], "deny": ["10.0.0.0/8"]}, "10.1.2.3", 80, REFUSE),
        # names
        ({"allow": ["example.org"]}, PUBLIC, 443, ASK),
        ({"allow": ["example.org:443"]}, PUBLIC, 80, REFUSE),
        ({"allow": ["example.org"]}, "10.0.0.1", 443, REFUSE),
        ({"allow": ["*"]}, "10.0.0.1", 443, REFUSE),
        ({"allow": ["*"]}, PUBLIC, 443, ASK),
        ({"deny": ["example.org"]}, PUBLIC, 443, ASK),
        ({"deny": ["example.org:443"]}, PUBLIC, 80, ALLOW),
        ({"deny": ["example.org"]}, "10.0.0.1", 443, REFUSE),
    ],
)  # fmt: skip
def test_what_an_address_is_answered(policy: object, to: str, port: int, answer: Answer) -> None:
    assert parse_policy(policy).at_connect(ipaddress.ip_address(to), port).answer is answer


@pytest.mark.parametrize(
    ("policy", "name", "to", "port", "answer"),
    [
        ({"allow": ["example.org"]}, "example.org", PUBLIC, 443, ALLOW),
        ({"allow": ["example.org"]}, "www.example.org", PUBLIC, 443, REFUSE),
        ({"allow": ["*.example.org:443"]}, "www.example.org", PUBLIC, 80, REFUSE),
        ({"allow": ["example.org"]}, "example.org", "10.0.0.1", 443, REFUSE),
        ({"allow": ["example.org"]}, "example.org", "169.254.169.254", 80, REFUSE),
        ({"allow": ["example.org", "10.0.0.1"]}, "example.org", "10.0.0.1", 443, ALLOW),
        ({"allow": ["*.example.org"], "deny": ["bad.example.org"]}, "bad.example.org", PUBLIC, 443, REFUSE),
        ({"allow": ["*.example.org"], "deny": ["bad.example.org"]}, "ok.example.org", PUBLIC, 443, ALLOW),
        ({"deny": ["*.example.org"]}, "bad.example.org", PUBLIC, 443, REFUSE),
        ({"deny": ["*.example.org"]}, "example.com", PUBLIC, 443, ALLOW),
        ({"allow": ["example.org"], "deny": [PUBLIC]}, "example.org", PUBLIC, 443, REFUSE),
    ],
)
def test_what_a_name_is_answered(policy: object, name: str, to: str, port: int, answer: Answer) -> None:
    assert parse_policy(policy).with_name(name, ipaddress.ip_address(to), port).answer is answer


@pytest.mark.parametrize(
    ("policy", "answer"),
    [
        ({"allow": ["example.org"]}, REFUSE),
        ({"deny": ["example.org"]}, REFUSE),
        ({"allow": ["example.org", PUBLIC]}, ALLOW),
        ({"allow": [PUBLIC], "deny": ["example.org"]}, ALLOW),
        ({"allow": ["example.org", "internet"]}, ALLOW),
        ("internet", ALLOW),
    ],
)
def test_a_connection_without_a_name_goes_nowhere_where_names_decide(policy: object, answer: Answer) -> None:
    assert parse_policy(policy).nameless(address(PUBLIC), 443).answer is answer


@pytest.mark.parametrize(
    ("policy", "name", "answer"),
    [
        ("none", "example.org", REFUSE),
        ("internet", "example.org", ALLOW),
        ({"allow": ["example.org"]}, "example.org", ALLOW),
        ({"allow": ["example.org"]}, "exfiltrated-data.evil.example", REFUSE),
        ({"allow": ["example.org", "10.0.0.1"]}, "db.internal", ALLOW),
        ({"deny": ["example.org"]}, "example.org", REFUSE),
        ({"deny": ["example.org:443"]}, "example.org", ALLOW),
    ],
)
def test_which_names_may_be_asked(policy: object, name: str, answer: Answer) -> None:
    assert parse_policy(policy).may_ask(name).answer is answer


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("everything", "everything"),
        (7, "7"),
        ({"allowed": []}, "allowed"),
        ({"allow": "example.org"}, "allow"),
        ({"allow": [7]}, "allow"),
        ({"allow": ["exa mple.org"]}, "exa mple.org"),
        ({"allow": ["https://example.org/"]}, "page"),
        ({"allow": ["example.org:0"]}, "ports"),
        ({"allow": ["example.org:90-80"]}, "ports"),
        ({"allow": ["example.org:http"]}, "ports"),
        ({"allow": ["10.0.0.0/33"]}, "range"),
        ({"allow": ["*.*.example.org"]}, "no host"),
        ({"allow": [""]}, "rule"),
        ({"allow": ["a.example"] * 501}, "many"),
        ({"allow": [], "max_connections": 0}, "max_connections"),
        ({"allow": [], "bandwidth_bytes_s": True}, "bandwidth"),
    ],
)
def test_a_wrong_policy_is_refused_with_what_is_wrong_and_a_hint(data: object, says: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_policy(data)
    assert says in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "data",
    ["none", "internet", {"allow": ["a.example:443"], "deny": ["10.0.0.1"]}, {"allow": None, "deny": ["x.example"]}],
)
def test_a_policy_is_shown_as_it_was_given(data: object) -> None:
    assert policy_json(parse_policy(data)) == data
    assert parse_policy(policy_json(parse_policy(data))) == parse_policy(data)


# --- what must hold always

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ADDRESSES = st.one_of(st.ip_addresses(), st.sampled_from(["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1"]).map(
    ipaddress.ip_address))  # fmt: skip
NAMES = st.sampled_from(["a.example", "b.a.example", "c.example"])
PLACES = st.one_of(
    st.sampled_from(["internet", "*", "a.example", "*.a.example", "0.0.0.0/0", "::/0", "8.0.0.0/5"]),
    st.ip_addresses(v=4).map(lambda one: f"{one}/8"),
)
POLICIES = st.builds(
    lambda allow, deny: {"allow": allow, "deny": deny},
    st.one_of(st.none(), st.lists(PLACES, max_size=4)),
    st.lists(PLACES, max_size=3),
)


@RELAXED
@given(POLICIES, ADDRESSES, st.integers(1, 65535), NAMES)
def test_no_sweeping_rule_opens_a_guarded_address_by_any_way(policy: object, to: Any, port: int, name: str) -> None:
    parsed = parse_policy(policy)
    if kind_of(to) >= Kind.GUARDED:
        assert parsed.at_connect(to, port).answer is REFUSE
        assert parsed.with_name(name, to, port).answer is REFUSE
        assert parsed.nameless(to, port).answer is REFUSE
        assert not parsed.may_tell(to)


@RELAXED
@given(POLICIES, ADDRESSES, st.integers(1, 65535), NAMES)
def test_a_name_never_opens_what_the_address_closed(policy: object, to: Any, port: int, name: str) -> None:
    parsed = parse_policy(policy)
    if parsed.at_connect(to, port).answer is REFUSE:
        assert parsed.with_name(name, to, port).answer is REFUSE
        assert parsed.nameless(to, port).answer is REFUSE


@RELAXED
@given(POLICIES, PLACES, ADDRESSES, st.integers(1, 65535))
def test_denying_more_never_opens_anything(policy: Any, more: str, to: Any, port: int) -> None:
    before = parse_policy(policy).nameless(to, port).answer
    after = parse_policy({**policy, "deny": [*policy["deny"], more]}).nameless(to, port).answer
    assert not (before is REFUSE and after is not REFUSE)


@given(st.ip_addresses(v=4))
def test_every_way_to_carry_an_address_is_at_least_as_guarded(inner: Any) -> None:
    number = int(inner)
    for outer in (
        0x64_FF9B << 96 | number,
        0x2002 << 112 | number << 80,
        0x2001_0000 << 96 | number << 64 | 0xFFFFFFFF & ~number,
    ):
        wrapped = ipaddress.IPv6Address(outer)
        assert inner in carried(wrapped)
        assert kind_of(wrapped) >= max(kind_of(inner), Kind.GUARDED)
    assert kind_of(ipaddress.IPv6Address(0xFFFF << 32 | number)) is kind_of(inner)


@given(st.text(max_size=60))
def test_any_text_is_a_rule_or_a_clear_error(text: str) -> None:
    with contextlib.suppress(InvalidRequestError):
        rule = parse_rule(text)
        assert parse_rule(rule.text) == rule


def test_names_are_remembered_with_their_addresses_for_a_while_and_boundedly() -> None:
    memory = NameMemory(most=3, keep_s=10)
    one, two = address("1.1.1.1"), address("2.2.2.2")
    memory.note("a.example", one, 0)
    memory.note("b.example", one, 1)
    assert memory.names(one) == {"a.example", "b.example"}
    assert memory.latest(one) == "b.example"
    memory.note("a.example", one, 2)
    assert memory.latest(one) == "a.example"
    memory.note("c.example", two, 12)
    assert memory.names(one) == {"a.example"}  # b is over ten seconds old
    for number in range(5):
        memory.note(f"n{number}.example", two, 13)
    assert len(memory) == 3
    assert memory.names(one) == frozenset()


def test_addresses_that_stand_for_names_are_bounded_and_given_again() -> None:
    stand_ins = StandIns()
    first = stand_ins.address("a.example")
    assert stand_ins.address("a.example") == first
    assert stand_ins.name(first) == "a.example"
    assert stand_ins.name(address("198.19.255.255")) is None
    given = {stand_ins.address(f"n{number}.example") for number in range(5000)}
    assert len(given) <= 4096
    assert all(kind_of(one) is Kind.GUARDED for one in given)
    assert stand_ins.name(first) != "a.example"  # given to a later name
