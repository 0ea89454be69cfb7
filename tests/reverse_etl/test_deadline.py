"""Work that was given up does not commit when it wakes."""

from __future__ import annotations

import threading

import pytest

from reverse_etl.deadline import Deadline, LateError


def test_what_work_returns_or_raises_comes_through() -> None:
    assert Deadline().run(lambda: 1, 5) == 1
    with pytest.raises(ZeroDivisionError):
        Deadline().run(lambda: 1 / 0, 5)


@pytest.mark.parametrize("is_committing", [True, False])
def test_late_work_is_given_up_and_may_not_commit(is_committing: bool) -> None:
    deadline, server, ends = Deadline(), threading.Event(), threading.Event()
    outcome: list[str] = []

    def work() -> None:
        if is_committing:
            deadline.may_commit()
        server.wait(10)
        try:
            deadline.may_commit()
            outcome.append("committed")
        except LateError:
            outcome.append("given up")
        finally:
            ends.set()

    with pytest.raises(LateError) as late:
        deadline.run(work, 0.05)
    assert late.value.maybe_applied is is_committing
    server.set()
    assert ends.wait(10)
    assert outcome == ["given up"]
