"""An end to waiting for a driver that knows no timeout of its own."""

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class LateError(Exception):
    """The work did not end in time. `maybe_applied`: its commit was already on its way."""

    def __init__(self, *, maybe_applied: bool) -> None:
        super().__init__("late")
        self.maybe_applied = maybe_applied


class Deadline:
    """Work in a thread of its own, given up after some seconds.

    A thread that waits in a driver cannot be stopped. So that one which was given up does not
    commit when its server wakes, the work has to ask `may_commit` before it commits.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_given_up = False
        self._is_committing = False

    def may_commit(self) -> None:
        """Raises LateError in work that was given up; else its commit counts as on its way."""
        with self._lock:
            if self._is_given_up:
                raise LateError(maybe_applied=False)
            self._is_committing = True

    def run(self, work: Callable[[], Result], seconds: float) -> Result:
        """What `work` returns or raises; raises LateError when that takes too long."""
        results: list[Result] = []
        errors: list[BaseException] = []

        def attempt() -> None:
            try:
                results.append(work())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=attempt, daemon=True)
        thread.start()
        thread.join(seconds)
        with self._lock:
            if not results and not errors:
                self._is_given_up = True
                raise LateError(maybe_applied=self._is_committing)
        if errors:
            raise errors[0]
        return results[0]
