"""Users: effective, real and login users with their groups and names, in every format.

Separate from tests/kernel/test_credentials.py, which has numbers only. The oracle is the owner of a created file, and
the user database.
"""

from __future__ import annotations

import itertools
import json
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.conftest import Filetap, Result, parse

MADE_BY: Final = """
os.setgroups([4242, 4243])
os.setresgid(0, 4242, 0); os.setresuid(0, 4242, 0)
os.close(os.open(sys.argv[1] + "/made", os.O_CREAT | os.O_WRONLY, 0o600))
"""
ACCOUNTS: Final = """
cp /etc/passwd "$dir/passwd"; cp /etc/group "$dir/group"
echo "alicia:x:4242:4242::/:/bin/sh" >>"$dir/passwd"; echo "staff42:x:4242:" >>"$dir/group"
mount --bind "$dir/passwd" /etc/passwd; mount --bind "$dir/group" /etc/group
"""
"""A user and a group that exist only in this mount namespace."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Create a directory below one that all users may search: pytest makes its own accessible to root only."""
    made = Path(tempfile.mkdtemp(prefix="filetap-test-")) / "folder"
    made.mkdir()
    for above in (made, made.parent):
        above.chmod(0o777)
    yield made
    shutil.rmtree(made.parent)


def process(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the process of the only event."""
    (event,) = events
    found: dict[str, Any] = event["process"]
    return found


def traced(ft: Filetap, options: str, command: tuple[str, ...], folder: Path, prepare: str = ACCOUNTS) -> Result:
    script = f"{prepare}\nfiletap trace {options} -e open {shlex.quote(str(folder))} -- {shlex.join([*command, str(folder)])}"
    return ft.private(script, dir=folder.parent)


def test_json(ft: Filetap, folder: Path, script: Callable[[str], tuple[str, ...]]) -> None:
    """The user is the effective one, as the owner of the file is."""
    found = process(traced(ft, "-f json", script(MADE_BY), folder).events)
    owner = (folder / "made").stat()
    assert (found["user"], found["group"]) == ({"id": owner.st_uid, "name": "alicia"}, {"id": owner.st_gid, "name": "staff42"})
    assert owner.st_uid == 4242
    assert (found["real_user"], found["real_group"]) == ({"id": 0, "name": "root"}, {"id": 0, "name": "root"})
    assert (found["saved_user"], found["saved_group"]) == ({"id": 0, "name": "root"}, {"id": 0, "name": "root"})
    assert found["supplemental_groups"] == [{"id": 4242, "name": "staff42"}, {"id": 4243}]
    assert "fs_user" not in found
    assert "audit_user" not in found or Path("/proc/self/loginuid").read_text() != "4294967295"


def test_login_user(ft: Filetap, folder: Path, script: Callable[[str], tuple[str, ...]]) -> None:
    """As after su: root acts, alicia logged in."""
    if not Path("/proc/self/loginuid").exists():
        pytest.skip("a kernel with loginuid (CONFIG_AUDIT)")
    program = "open('/proc/self/loginuid', 'w').write('4242')\nos.close(os.open(sys.argv[1] + '/made', os.O_CREAT | os.O_WRONLY))"
    found = process(traced(ft, "-f json", script(program), folder).events)
    assert (found["user"], found["audit_user"]) == ({"id": 0, "name": "root"}, {"id": 4242, "name": "alicia"})
    assert "audit_user" not in process(traced(ft, "-f json", script(MADE_BY), folder).events)


def test_another_root_has_another_user_database(ft: Filetap, folder: Path, script: Callable[[str], tuple[str, ...]]) -> None:
    """In a chroot, as in a container, 4242 may be another user: the host's name would be wrong."""
    program = "os.chroot(sys.argv[1])\nos.seteuid(4242)\nos.close(os.open('/made', os.O_CREAT | os.O_WRONLY))"
    found = process(traced(ft, "-f json", script(program), folder).events)
    assert (found["root"], found["user"], found["real_user"]) == (str(folder), {"id": 4242}, {"id": 0})


@pytest.mark.parametrize("options", ["--summary --by user", "--summary --by user -f none"])
def test_a_summary_by_user(ft: Filetap, folder: Path, script: Callable[[str], tuple[str, ...]], options: str) -> None:
    done = traced(ft, options, script(MADE_BY), folder)
    lines = [line.split(None, 1) for line in done.err.decode().splitlines()]
    head, line = next((before, line) for before, line in itertools.pairwise(lines) if before[-1].endswith(" USER"))
    assert line[0] == "1"
    assert line[-1].endswith(" alicia:staff42 (real root:root)")
    assert head[0] == "COUNT"


def test_top_by_user(ft: Filetap, folder: Path, script: Callable[[str], tuple[str, ...]]) -> None:
    arguments = f"{shlex.quote(str(folder))} -- {shlex.join([*script(MADE_BY), str(folder)])}"
    done = ft.private(f"{ACCOUNTS}\nfiletap top --batch -n 1 --interval 20 --by user -e open {arguments}", dir=folder.parent)
    assert done.out.decode().splitlines()[-1].endswith(" alicia:staff42 (real root:root)")


def test_a_recording_keeps_the_names(ft: Filetap, folder: Path, script: Callable[[str], tuple[str, ...]], tmp_path: Path) -> None:
    """The name is no longer in the user database when the recording is queried."""
    trace = tmp_path / "t.tap"
    assert traced(ft, f"-o {trace}", script(MADE_BY), folder).status == 0
    columns = "euid, user_name, uid, real_user_name, loginuid, egid, group_name, gid, real_group_name, groups, group_names"
    (row,) = json.loads(ft("query", trace, f"SELECT {columns} FROM events", "--format", "json").out)
    assert row == {
        "euid": 4242, "user_name": "alicia", "uid": 0, "real_user_name": "root", "loginuid": row["loginuid"],
        "egid": 4242, "group_name": "staff42", "gid": 0, "real_group_name": "root",
        "groups": [4242, 4243], "group_names": ["staff42", ""],
    }  # fmt: skip
    (line,) = parse(ft("replay", trace, "-f", "json").out)
    assert line["process"]["user"] == {"id": 4242, "name": "alicia"}
    assert line["process"]["supplemental_groups"] == [{"id": 4242, "name": "staff42"}, {"id": 4243}]
    text = ft("summary", trace, "--by", "user").out.decode().splitlines()
    assert text[1].endswith(" alicia:staff42 (real root:root)")
    (row,) = json.loads(ft("summary", trace, "--by", "user", "--format", "json").out)
    assert (row["user_name"], row["real_user_name"], row["euid"], row["uid"]) == ("alicia", "root", 4242, 0)


def test_a_blocked_user_database_delays_no_event(ft: Filetap, folder: Path, script: Callable[[str], tuple[str, ...]]) -> None:
    """A pipe without a writer in place of /etc/passwd: events are printed without names."""
    prepare = 'mkfifo "$dir/slow"; mount --bind "$dir/slow" /etc/passwd'
    done = traced(ft, "-f json", script(MADE_BY), folder, prepare)
    assert done.status == 0
    found = process(done.events)
    assert (found["user"], found["group"]) == ({"id": 4242}, {"id": 4242})
    assert found["real_group"] == {"id": 0, "name": "root"}
