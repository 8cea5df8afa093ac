from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desktop_sandbox.errors import ConfigurationError, ConflictError, InvalidRequestError, NotFoundError
from desktop_sandbox.network.policy import parse_policy, policy_record
from desktop_sandbox.node.cursors import decode_cursor, encode_cursor
from desktop_sandbox.node.database import Database
from desktop_sandbox.node.facts import SandboxState
from desktop_sandbox.node.lifecycle import TRANSITIONS, SandboxEvent, next_state
from desktop_sandbox.node.store import SandboxRecord, Store


def record(number: int, **changes: object) -> SandboxRecord:
    made = SandboxRecord(
        id=f"sb{number}",
        template="desktop",
        state=SandboxState.CREATING,
        created_at=1000.0 + number,
        expires_at=None,
        resolution=(1280, 800),
        metadata={"n": str(number % 3)},
        spec={"memory": 2},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture
async def store(tmp_path: Path):
    made = await Store.open(tmp_path / "node.db")
    yield made
    await made.close()
    await made.close()


@given(st.sampled_from(SandboxState), st.lists(st.sampled_from(SandboxEvent), max_size=12))
def test_any_sequence_of_events_follows_the_table_or_is_refused(
    state: SandboxState, events: list[SandboxEvent]
) -> None:
    for event in events:
        if (state, event) in TRANSITIONS:
            state = next_state(state, event)
        else:
            with pytest.raises(ConflictError) as caught:
                next_state(state, event)
            assert f"is {state} " in caught.value.message
            assert f'"{event}"' in caught.value.message
            assert caught.value.hint


def test_dead_is_final_and_every_other_state_can_be_killed_and_can_die() -> None:
    for state in SandboxState:
        leaves = {event for (source, event) in TRANSITIONS if source is state}
        assert leaves == set() if state is SandboxState.DEAD else {SandboxEvent.KILL, SandboxEvent.DIED} <= leaves


async def test_records_survive_closing(tmp_path: Path, store: Store) -> None:
    await store.add(record(1, create_key="k"))
    await store.move("sb1", SandboxEvent.STARTED, now=5.0)
    await store.set_process("sb1", 4242, 99, "/run/x")
    await store.set_expiry("sb1", 77.5)
    await store.set_resolution("sb1", 640, 480)
    await store.close()
    again = await Store.open(tmp_path / "node.db")
    found = await again.get("sb1")
    assert found == record(
        1, create_key="k", state=SandboxState.RUNNING, pid=4242, pid_started=99, directory="/run/x",
        expires_at=77.5, resolution=(640, 480),
    )  # fmt: skip
    assert found.info().metadata == {"n": "1"}
    assert [event.kind for event in await again.events("sb1")] == ["started"]
    await again.close()


async def test_a_create_key_gives_the_same_sandbox_also_at_once(store: Store) -> None:
    made = await asyncio.gather(*(store.add(record(n, create_key="same")) for n in range(8)))
    assert len({found.id for found, _ in made}) == 1
    assert sum(new for _, new in made) == 1
    with pytest.raises(ConflictError):
        await store.add(record(0))


async def test_illegal_moves_change_nothing(store: Store) -> None:
    await store.add(record(1))
    await store.move("sb1", SandboxEvent.FAILED, now=1.0, reason="no memory", data={"short_mib": 3})
    with pytest.raises(ConflictError, match="is dead"):
        await store.move("sb1", SandboxEvent.STARTED, now=2.0)
    found = await store.get("sb1")
    assert (found.state, found.reason) == (SandboxState.DEAD, "no memory")
    events = await store.events("sb1")
    assert [dict(event.data) for event in events] == [
        {"from": "creating", "to": "dead", "reason": "no memory", "short_mib": 3}
    ]


async def test_unknown_ids(store: Store) -> None:
    for call in (
        store.get("x"), store.move("x", SandboxEvent.KILL, now=0), store.remove("x"), store.set_expiry("x", 1),
        store.note("x", "k", {}, now=0),
    ):  # fmt: skip
        with pytest.raises(NotFoundError, match="no sandbox x"):
            await call
    assert await store.events("x") == []


async def test_pages_are_whole_while_others_come_and_go(store: Store) -> None:
    for number in range(10):
        await store.add(record(number))
    first, cursor = await store.list(limit=4)
    assert [r.id for r in first] == ["sb9", "sb8", "sb7", "sb6"]
    await store.add(record(99))
    await store.remove("sb8")
    await store.remove("sb4")
    second, cursor = await store.list(limit=4, cursor=cursor)
    third, end = await store.list(limit=4, cursor=cursor)
    assert [r.id for r in second + third] == ["sb5", "sb3", "sb2", "sb1", "sb0"]
    assert end is None


async def test_the_dead_are_forgotten_by_when_they_died(store: Store) -> None:
    for number, died_at in ((1, 5000.0), (2, 90_000.0)):
        await store.add(record(number))
        await store.move(f"sb{number}", SandboxEvent.DIED, now=died_at, reason="of age")
    await store.add(record(3))
    assert await store.forget_dead(4999.0) == []
    assert await store.forget_dead(80_000.0) == ["sb1"]
    assert {kept.id for kept in await store.all()} == {"sb2", "sb3"}
    assert await store.events("sb1") == []


async def test_filters(store: Store) -> None:
    for number in range(9):
        await store.add(record(number, template="desktop" if number % 2 else "minimal"))
    await store.move("sb3", SandboxEvent.STARTED, now=1)

    async def ids(**wanted: object) -> list[str]:
        return [r.id for r in (await store.list(**wanted))[0]]  # type: ignore[arg-type]

    assert await ids(metadata={"n": "0"}) == ["sb6", "sb3", "sb0"]
    assert await ids(metadata={"n": "0"}, template="minimal") == ["sb6", "sb0"]
    assert await ids(states=[SandboxState.RUNNING]) == ["sb3"]
    assert await ids(metadata={"n": "0", "other": ""}) == []
    assert await ids(metadata={"n' OR 1=1 --": "0"}) == []
    assert [r.id for r in await store.all(SandboxState.RUNNING)] == ["sb3"]
    assert len(await store.all()) == 9
    _, cursor = await store.list(metadata={"n": "0"}, limit=3)
    assert cursor is None


@given(st.text(max_size=40))
def test_foreign_cursors_are_refused(text: str) -> None:
    try:
        assert encode_cursor(decode_cursor(text)).rstrip("=") == text.rstrip("=") or decode_cursor(text) >= 0
    except InvalidRequestError as error:
        assert error.hint  # noqa: PT017


@given(st.integers(1, 10**15))
def test_cursors_lead_back(number: int) -> None:
    assert decode_cursor(encode_cursor(number)) == number


async def test_migrations_run_once_each_and_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    steps = ["CREATE TABLE a (x);", "ALTER TABLE a ADD COLUMN y; INSERT INTO a VALUES (1, 2);"]
    await (await Database.open(path, steps[:1])).close()
    for _ in range(2):
        database = await Database.open(path, steps)
        assert await database.read(lambda link: [tuple(r) for r in link.execute("SELECT * FROM a")]) == [(1, 2)]
        await database.close()
    with pytest.raises(ConfigurationError, match="newer"):
        await Database.open(path, steps[:1])


async def test_a_failed_migration_leaves_the_old_schema(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with pytest.raises(ConfigurationError, match="cannot open"):
        await Database.open(path, ["CREATE TABLE a (x);", "CREATE TABLE b (x); nonsense;"])
    with sqlite3.connect(path) as link:
        assert link.execute("PRAGMA user_version").fetchone() == (1,)
        assert [row[0] for row in link.execute("SELECT name FROM sqlite_master")] == ["a"]


async def test_a_raising_write_is_rolled_back(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "x.db", ["CREATE TABLE a (x);"])

    def work(link: sqlite3.Connection) -> None:
        link.execute("INSERT INTO a VALUES (1)")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        await database.write(work)
    await database.write(lambda link: link.execute("INSERT INTO a VALUES (2)"), durable=True)
    assert await database.read(lambda link: link.execute("SELECT x FROM a").fetchall()[0][0]) == 2
    await database.close()


async def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(ConfigurationError, match="cannot open the database"):
        await Store.open(path)


async def test_a_policys_secrets_stay_in_a_file_of_the_owner_and_are_never_shown(tmp_path: Path) -> None:
    """They survive a restart, and what callers see of the record has none of them."""
    path = tmp_path / "node.db"
    network = {
        "allow": None,
        "deny": [],
        "headers": [{"host": "api.example.org", "set": {"X-Key": "5ec2e7"}}],
        "proxy": "http://me:5ec2e7@10.1.2.3:3128",
    }
    path.touch(0o644)  # as an older version made it
    first = await Store.open(path)
    await first.add(record(1))
    await first.change_spec("sb1", "network", network)
    modes = {file.stat().st_mode & 0o777 for file in tmp_path.glob("node.db*")}
    await first.close()
    again = await Store.open(path)
    kept = await again.get("sb1")
    await again.close()
    assert modes == {0o600}
    assert policy_record(parse_policy(kept.network)) == network
    assert "5ec2e7" not in f"{kept!r} {kept.info()!r}"
    assert kept.info().network["headers"] == [{"host": "api.example.org", "set": {"X-Key": "***"}}]
