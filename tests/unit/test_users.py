"""Names of users and groups: looked up once, again after a while, and with a time limit.

Separate from test_definitions.py, where the names are used. A slow directory service is a look-up that waits for the
test.
"""

from __future__ import annotations

import grp
import os
import pwd
import threading
from collections import Counter

from filetap.core.batch import Credentials
from filetap.enrich.users import Names, accounts
from tests.timeouts import wait_for


class Database:
    """A database that counts its look-ups."""

    def __init__(self, **names: str) -> None:
        self.names, self.look_ups = {int(number.strip("u")): name for number, name in names.items()}, Counter[int]()

    def __call__(self, number: int) -> str:
        self.look_ups[number] += 1
        return self.names[number]


def test_each_number_is_looked_up_once() -> None:
    database = Database(u1="alice")
    names = Names(database)
    assert [names(number) for number in (1, 2, 1, 2, 1)] == ["alice", "", "alice", "", "alice"]
    assert database.look_ups == {1: 1, 2: 1}


def test_a_name_is_looked_up_again_after_a_while() -> None:
    """Users are renamed and added."""
    database, now = Database(u1="alice"), [0.0]
    names = Names(database, lambda: now[0])
    assert (names(1), names(2)) == ("alice", "")
    database.names = {1: "bob", 2: "carol"}
    now[0] += Names.AGE
    assert (names(1), names(2)) == ("alice", "")
    now[0] += 1
    assert (names(1), names(2)) == ("bob", "carol")


def test_a_slow_look_up_is_not_waited_for_twice() -> None:
    """The first look-up is waited for briefly; later ones are not until the service answers; then the name is known."""
    answer = threading.Event()

    def slow(number: int) -> str:
        answer.wait()
        return f"user{number}"

    names = Names(slow, patience=0.01)
    assert names(1) == ""
    names._patience = 3600  # a wait now would never end
    assert [names(number) for number in (2, 3, 2, 1)] == ["", "", "", ""]
    answer.set()
    wait_for(lambda: [names(number) for number in (1, 2, 3)] == ["user1", "user2", "user3"])


def test_a_failed_look_up_gives_no_name() -> None:
    def broken(_number: int) -> str:
        raise OSError("no such service")

    assert Names(broken)(1) == ""


def test_an_invalid_name_gets_replacement_characters() -> None:
    assert Names(lambda _: os.fsdecode(b"al\xffice"))(1) == "al\ufffdice"


def test_the_host_s_own() -> None:
    """Oracle: the database itself."""
    user, group = pwd.getpwall()[-1], grp.getgrall()[-1]
    nobody = max({entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid < 2**31}) + 1
    given = Credentials(euid=user.pw_uid, uid=nobody, suid=None, egid=group.gr_gid, groups=(group.gr_gid,))
    named = accounts().named(given)
    assert (named.user_name, named.real_user_name, named.saved_user_name) == (user.pw_name, "", "")
    assert (named.group_name, named.group_names) == (group.gr_name, (group.gr_name,))
