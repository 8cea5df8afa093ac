"""What is news to who drives a desktop, of all that happens to its clipboard."""

from __future__ import annotations

from desktop_sandbox.stream.clipboards import ECHO_S, Known


def test_what_is_copied_is_news_and_so_is_the_same_later() -> None:
    known = Known()
    assert known.is_news("a", 100)
    assert known.is_news("b", 100.1)
    assert known.is_news("a", 100.2)
    assert known.is_news("a", 100.2 + ECHO_S)
    assert not known.is_news("", 200)


def test_what_they_put_there_themselves_is_none_however_late_it_is_there() -> None:
    known = Known()
    known.has("mine")
    assert not known.is_news("mine", 500)
    assert known.is_news("mine", 500 + ECHO_S), "an app copied it once more"
    known.has("mine")
    assert known.is_news("theirs", 600)
    assert known.is_news("mine", 600.1)


def test_a_clipboard_manager_that_takes_it_over_tells_nothing_new() -> None:
    known = Known()
    known.has("mine")
    assert [known.is_news("mine", 100 + late) for late in (0, 0.3, ECHO_S - 0.1)] == [False, False, False]
    assert known.is_news("copied", 200)
    assert not known.is_news("copied", 200.3)
