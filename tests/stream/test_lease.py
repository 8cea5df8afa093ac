"""Who drives: the table as people meet it, and that it leaves nothing open."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from desktop_sandbox.stream.lease import GRACE_S, TABLE, WANTED_S, Ask, Holder, Lease, Party, forget, late, step

ADA, BOB = Party(1, "ada", "Ada"), Party(2, "bob", "Bob")
VIEWERS_ASKS = [Ask.REQUEST, Ask.TAKE, Ask.GIVE, Ask.RELEASE, Ask.LOST, Ask.BACK]
AGENTS_ASKS = [Ask.RECALL, Ask.ACT, Ask.GIVE, Ask.RELEASE]


def held(by: Party = ADA, at: float = 0.0) -> Lease:
    return Lease(Holder.VIEWER, by, at)


def test_the_agent_drives_until_somebody_takes_over() -> None:
    lease, refused = step(Lease(), Ask.TAKE, ADA, 10.0)
    assert not refused
    assert lease == held(ADA, 10.0)
    assert lease.drives(1)
    assert not lease.drives(2)
    assert lease.refuses_agent
    assert step(lease, Ask.ACT, None, 11.0) == (lease, True)
    back, _ = step(lease, Ask.GIVE, ADA, 12.0)
    assert back == Lease(Holder.AGENT, None, 12.0)
    assert step(back, Ask.ACT, None, 13.0) == (back, False)


def test_a_request_only_asks_and_is_answered_by_giving() -> None:
    asked, _ = step(held(), Ask.REQUEST, BOB, 5.0)
    assert asked.drives(1)
    assert asked.wanted == BOB
    given, _ = step(asked, Ask.GIVE, ADA, 6.0)
    assert given == held(BOB, 6.0)
    agents, _ = step(Lease(), Ask.REQUEST, BOB, 1.0)
    assert agents.holder is Holder.AGENT
    assert step(agents, Ask.GIVE, None, 2.0)[0] == held(BOB, 2.0)
    assert late(agents, 1.0 + WANTED_S).wanted is None
    assert forget(agents, 2).wanted is None
    assert forget(agents, 1).wanted == BOB


def test_take_over_takes_from_a_viewer_too() -> None:
    assert step(held(), Ask.TAKE, BOB, 3.0)[0].drives(2)


def test_what_is_released_goes_to_who_comes_first() -> None:
    free, _ = step(held(), Ask.RELEASE, ADA, 1.0)
    assert free == Lease(Holder.NONE, None, 1.0)
    assert step(free, Ask.ACT, None, 2.0)[0].holder is Holder.AGENT
    assert step(free, Ask.REQUEST, BOB, 2.0)[0].drives(2)
    assert step(Lease(), Ask.GIVE, None, 1.0)[0].holder is Holder.NONE


def test_nobody_gives_away_what_another_one_has() -> None:
    for ask in (Ask.GIVE, Ask.RELEASE):
        for lease, caller in ((held(), BOB), (held(), None), (Lease(), ADA)):
            assert step(lease, ask, caller, 1.0) == (lease, True)


def test_a_lost_viewer_has_a_moment_and_the_agent_waits_for_it() -> None:
    away, _ = step(held(), Ask.LOST, ADA, 100.0)
    assert away.holder is Holder.AWAY
    assert away.refuses_agent
    assert not away.drives(1)
    assert away.next_at() == 100.0 + GRACE_S
    assert late(away, 100.0 + GRACE_S - 0.01) == away
    assert late(away, 100.0 + GRACE_S).holder is Holder.AGENT
    again = Party(7, "ada", "Ada")
    back, _ = step(away, Ask.BACK, again, 102.0)
    assert back.drives(7)
    assert back.since == held().since
    assert step(away, Ask.BACK, BOB, 102.0)[0] == away
    assert step(away, Ask.TAKE, BOB, 102.0)[0].drives(2)
    assert step(away, Ask.RECALL, None, 102.0)[0].holder is Holder.AGENT


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(VIEWERS_ASKS), st.sampled_from([ADA, BOB, Party(3, "ada", "Ada")])),
            st.tuples(st.sampled_from(AGENTS_ASKS), st.none()),
        ),
        max_size=40,
    )
)
def test_every_story_has_one_driver(story: list[tuple[Ask, Party | None]]) -> None:
    lease, now = Lease(), 0.0
    for ask, caller in story:
        now += 1.7
        lease = late(lease, now)
        lease, _ = step(lease, ask, caller, now)
        drivers = [party for party in (ADA, BOB, Party(3, "ada", "Ada")) if lease.drives(party.viewer)]
        assert len(drivers) == (lease.holder is Holder.VIEWER)
        assert (lease.party is not None) == (lease.holder in (Holder.VIEWER, Holder.AWAY))
        assert lease.refuses_agent == (lease.holder in (Holder.VIEWER, Holder.AWAY))
    step(lease, Ask.RECALL, None, now)
    assert late(lease, now + GRACE_S + WANTED_S).next_at() is None


def test_the_table_says_for_every_holder_what_each_party_can_do() -> None:
    for holder in Holder:
        for ask in VIEWERS_ASKS:
            assert (holder, ask, False) in TABLE, (holder, ask)
        for ask in AGENTS_ASKS:
            assert (holder, ask, holder is Holder.AGENT) in TABLE, (holder, ask)
        assert (holder, Ask.LATE, True) in TABLE
