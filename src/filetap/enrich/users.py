"""Names of users and groups, from the host's user database: each number is looked up once a minute, never per event.

Separate from definitions.py, because the database may be a remote directory service: the caller must not wait for it.
"""

from __future__ import annotations

import grp
import pwd
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from filetap.core.batch import Batch, Credentials, Task
from filetap.core.columns import GROUPS, USERS
from filetap.core.stage import Stage
from filetap.enrich.described import Described


class Names:
    """Number to name; "" if there is none, or none has come in time."""

    PATIENCE: Final = 0.5
    """Seconds to wait for a lookup. While one is late, no other is waited for: their names come with later definitions."""
    AGE: Final = 60.0
    """Seconds until a name is looked up again."""

    def __init__(self, look_up: Callable[[int], str], now: Callable[[], float] = time.monotonic, patience: float = PATIENCE) -> None:
        """``look_up``: raises KeyError for a number without a name."""
        self._look_up, self._now, self._patience = look_up, now, patience
        self._known: dict[int, tuple[float, str]] = {}
        self._late: set[threading.Thread] = set()

    @property
    def is_late(self) -> bool:
        """Return whether a lookup has not ended that the caller no longer waits for."""
        self._late = {thread for thread in self._late if thread.is_alive()}
        return bool(self._late)

    def __call__(self, number: int) -> str:
        looked_up, name = self._known.get(number, (None, ""))
        if looked_up is None or self._now() - looked_up > self.AGE:
            self._known[number] = (self._now(), name)
            self._ask(number)
        return self._known[number][1]

    def _ask(self, number: int) -> None:
        late = self.is_late
        thread = threading.Thread(target=self._answer, args=(number,), name="names", daemon=True)
        thread.start()
        thread.join(0 if late else self._patience)
        if thread.is_alive():
            self._late.add(thread)

    def _answer(self, number: int) -> None:
        try:
            name = self._look_up(number)
        except (KeyError, OSError):
            name = ""
        self._known[number] = (self._now(), name.encode(errors="surrogateescape").decode(errors="replace"))


class Accounts:
    """Names for the ids of tasks that use this process's user database: those that have the same root directory. In a
    container with another root a number may be another user, whose name is not here."""

    def __init__(self, users: Names, groups: Names) -> None:
        self._users, self._groups = users, groups

    @property
    def is_late(self) -> bool:
        """Return whether names are missing that may still come."""
        return self._users.is_late or self._groups.is_late

    def named(self, credentials: Credentials) -> Credentials:
        """Return the credentials with names."""
        names = _names(credentials, USERS, self._users) | _names(credentials, GROUPS, self._groups)
        listed = tuple(map(self._groups, credentials.groups or ()))
        return replace(credentials, **names, group_names=listed if any(listed) else ())


def _names(credentials: Credentials, ids: Mapping[str, str], names: Callable[[int], str]) -> dict[str, Any]:
    numbers = {word: getattr(credentials, name) for word, name in ids.items()}
    return {f"{word}_name": names(number) for word, number in numbers.items() if number is not None}


def accounts() -> Accounts:
    """Look up by getpwuid(3) and getgrgid(3), which use the sources of nsswitch.conf(5)."""
    users, groups = Names(lambda number: pwd.getpwuid(number).pw_name), Names(lambda number: grp.getgrgid(number).gr_name)
    return Accounts(users, groups)


class UserNames(Stage):
    """Adds the names of users and groups to ``Task.credentials``. Those that the database has not answered in time come later."""

    def __init__(self, accounts: Accounts) -> None:
        super().__init__()
        self._accounts = accounts
        self._tasks: Described[Task] = Described(self._named)
        self._ancestors: Described[Task] = Described(self._with_names)
        self._incomplete: set[int] = set()
        """Ids of tasks and ancestors that were described while a name was missing."""

    def describe(self, batch: Batch) -> Batch:
        return replace(batch, tasks=self._tasks.of(batch.tasks), renewed=batch.renewed | self._completed())

    def _completed(self) -> frozenset[int]:
        """Return the ids of tasks whose missing names have come."""
        if not self._incomplete or self._accounts.is_late:
            return frozenset()
        found, self._incomplete = frozenset(self._incomplete), set()
        for described in (self._tasks, self._ancestors):
            described.forget(found)
        return found

    def _named(self, task: Task) -> Task:
        above = {process.id: process for process in task.ancestors}
        named = self._ancestors.of(above)
        return replace(self._with_names(task), ancestors=tuple(named[number] for number in above))

    def _with_names(self, task: Task) -> Task:
        if not task.has_host_root:
            return task
        named = replace(task, credentials=self._accounts.named(task.credentials))
        if self._accounts.is_late:
            self._incomplete.add(task.id)
        return named
