"""Recordings of real programs, compared with strace, the file system and the programs' own counts.

Separate from test_query.py, which tests the output formats. All data is read by SQL queries.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ENVIRONMENT, PYTHON, WAIT, Filetap, wait_until

LINE = re.compile(rb"^\d+ +(\w+)\((.*)\) += (-?\d+)")


def query_rows(ft: Filetap, trace: Path, sql: str) -> list[dict[str, Any]]:
    result = ft("query", trace, sql, "--format", "json")
    assert result.status == 0, result.err.decode()
    found: list[dict[str, Any]] = json.loads(result.out.decode())
    return found


def summed(ft: Filetap, trace: Path, *words: str) -> list[dict[str, Any]]:
    result = ft("summary", trace, *words, "--format", "json")
    assert result.status == 0, result.err.decode()
    found: list[dict[str, Any]] = json.loads(result.out.decode())
    return found


def recorded(ft: Filetap, trace: Path, *command: str, events: str = "all", cwd: Path | None = None) -> Path:
    result = ft.trace("-e", events, "--type", "all", "-o", trace, "--", *command, cwd=cwd)
    assert result.status == 0, result.err.decode()[-2000:]
    return trace


def straced(output: Path, calls: str, *command: str, cwd: Path | None = None) -> Counter[tuple[str, int]]:
    """Return how often each call had each result."""
    words = ["strace", "-f", "-qq", "-e", "signal=none", "-e", f"trace={calls}", "-o", str(output), *command]
    subprocess.run(words, check=True, capture_output=True, env=ENVIRONMENT, cwd=cwd, timeout=WAIT)
    matches = filter(None, map(LINE.match, output.read_bytes().splitlines()))
    return Counter((match[1].decode(), int(match[3])) for match in matches)


def reported(ft: Filetap, trace: Path, calls: str) -> Counter[tuple[str, int]]:
    """Return the same for a trace; strace writes -1 for every error."""
    names = ", ".join(f"'{name}'" for name in calls.split(","))
    sql = f"SELECT call, greatest(result, -1) AS result, count(*) AS n FROM events WHERE call IN ({names}) GROUP BY ALL"
    return Counter({(row["call"], row["result"]): row["n"] for row in query_rows(ft, trace, sql)})


FAILING = """
import errno, fcntl
first = os.open(sys.argv[1] + "a", os.O_RDWR | os.O_CREAT)
FICLONE, TOO_LONG = 0x40049409, "x" * 256
def lock(at): fcntl.lockf(first, fcntl.LOCK_EX, 1, at)
def attempt(call, *words):
    try: call(*words)
    except OSError: pass
attempt(fcntl.ioctl, os.memfd_create("to"), FICLONE, os.memfd_create("from"))
attempt(os.open, sys.argv[1] + TOO_LONG, os.O_RDONLY)
attempt(os.read, 1000, 1)
lock(0)
if not (child := os.fork()):
    lock(1)
    lock(0)
    os._exit(0)
while not open(f"/proc/{child}/syscall").read().startswith(f"72 {first:#x} 0x7 "): time.sleep(0.01)
attempt(lock, 1)
os.close(first)
os.wait()
"""
"""The child waits for the parent's lock, and the parent queries the child's; no file system in memory clones. F_SETLKW is 7."""


def test_errors_have_the_names_that_strace_gives(ft: Filetap, script: Callable[[str], tuple[str, ...]], tmp_path: Path) -> None:
    command = (*script(FAILING), f"{tmp_path}/")
    trace = recorded(ft, tmp_path / "t.tap", *command)
    output = tmp_path / "strace"
    calls = "openat,read,fcntl,ioctl"
    subprocess.run(["strace", "-f", "-qq", "-o", str(output), "-e", f"trace={calls}", *command], check=True, env=ENVIRONMENT, timeout=WAIT)
    failures = re.findall(rb"(\w+)(?:\(| resumed>).* = -1 (E\w+) ", output.read_bytes())
    rows = query_rows(
        ft, trace, "SELECT DISTINCT call, error FROM events WHERE call IN ('openat', 'read', 'fcntl', 'ioctl') AND result < 0"
    )
    found = {(row["call"], row["error"]) for row in rows}
    assert found >= {("fcntl", "EDEADLK"), ("ioctl", "EOPNOTSUPP"), ("openat", "ENAMETOOLONG"), ("read", "EBADF")}
    assert found == {(call.decode(), name.decode()) for call, name in failures if call != b"ioctl" or name != b"ENOTTY"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Create a repository of ten commits."""
    folder = tmp_path / "repository"
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q", str(folder)], check=True, env=ENVIRONMENT)
    for number in range(10):
        (folder / f"file{number % 3}").write_text(f"{number}\n" * 100)
        subprocess.run([*git, "add", "."], check=True, env=ENVIRONMENT)
        subprocess.run([*git, "commit", "-qm", f"commit {number}"], check=True, env=ENVIRONMENT)
    return folder


def test_git(ft: Filetap, repository: Path, tmp_path: Path) -> None:
    """It makes the same calls each time while nothing has changed."""
    command, calls = ("git", "--no-pager", "log", "--stat"), "openat,read,close,newfstatat,pread64,getdents64"
    trace = recorded(ft, tmp_path / "t.tap", *command, cwd=repository)
    assert reported(ft, trace, calls) == straced(tmp_path / "strace", calls, *command, cwd=repository)
    objects = query_rows(ft, trace, f"SELECT count(*) AS n FROM events WHERE op = 'open' AND path LIKE '{repository}/.git/objects/__/%'")
    assert objects[0]["n"] >= 10, "each commit is an object"


def test_tar(ft: Filetap, tmp_path: Path) -> None:
    """It reads every file to its end, once."""
    tree = tmp_path / "tree"
    for number in range(1, 41):
        (tree / str(number % 4)).mkdir(parents=True, exist_ok=True)
        (tree / str(number % 4) / f"f{number}").write_bytes(b"x" * (number * 997))
    archive = tmp_path / "a.tar"
    trace = recorded(ft, tmp_path / "t.tap", "tar", "-cf", str(archive), "-C", str(tmp_path), "tree")
    sizes = {str(path): path.stat().st_size for path in tree.rglob("f*")}
    read = query_rows(
        ft, trace, f"SELECT path, sum(bytes) AS n FROM events WHERE op IN ('open', 'read') AND path LIKE '{tree}/%/f%' GROUP BY 1"
    )
    assert {row["path"]: row["n"] for row in read} == sizes
    files = {row["path"]: row["bytes"] for row in summed(ft, trace, "--limit", "1000") if not row["others"]}
    assert files[str(archive)] == archive.stat().st_size
    assert {path: files[path] for path in sizes} == sizes
    folders = {row["directory"]: row["bytes"] for row in summed(ft, trace, "--by", "directory", "--limit", "1000") if not row["others"]}
    expected = {str(tree / str(n)): sum(size for path, size in sizes.items() if Path(path).parent.name == str(n)) for n in range(4)}
    assert {path: folders[path] for path in expected} == expected


def test_sqlite(ft: Filetap, tmp_path: Path) -> None:
    """A database is written; strace counts the same calls with the same numbers of bytes."""
    script = (
        "CREATE TABLE t (a, b); INSERT INTO t SELECT value, hex(value) FROM generate_series(1, 2000); UPDATE t SET b = a WHERE a % 7 = 0;"
    )
    calls = "pwrite64,pread64,fdatasync,fsync,unlink"
    trace = recorded(ft, tmp_path / "t.tap", "sqlite3", str(tmp_path / "one.db"), script)
    assert reported(ft, trace, calls) == straced(tmp_path / "strace", calls, "sqlite3", str(tmp_path / "two.db"), script)
    (row,) = query_rows(
        ft, trace, f"SELECT max(\"offset\" + result) AS n FROM events WHERE call = 'pwrite64' AND path = '{tmp_path / 'one.db'}'"
    )
    assert row["n"] == (tmp_path / "one.db").stat().st_size


IMPORTS = (
    "import sys, json, email.message, asyncio\n"
    "specs = [getattr(module, '__spec__', None) for module in list(sys.modules.values())]\n"
    "print(*sorted({spec.cached for spec in specs if spec and spec.cached}))"
)


def test_a_python_import(ft: Filetap, tmp_path: Path) -> None:
    """Each module's byte code is opened once and read to its end."""
    told_by_python = subprocess.run([PYTHON, "-S", "-E", "-c", IMPORTS], check=True, capture_output=True, text=True, env=ENVIRONMENT).stdout
    trace = recorded(ft, tmp_path / "t.tap", PYTHON, "-S", "-E", "-c", IMPORTS)
    sql = """SELECT path, count(*) FILTER (op = 'open') AS opens, sum(bytes) AS bytes FROM events
             WHERE path LIKE '%.pyc' AND (error IS NULL) GROUP BY 1"""
    found = {row["path"]: (row["opens"], row["bytes"]) for row in query_rows(ft, trace, sql) if row["opens"]}
    modules = {path: Path(path).stat().st_size for path in told_by_python.split() if os.path.exists(path)}
    assert len(modules) > 50
    assert found == {os.path.realpath(path): (1, size) for path, size in modules.items()}


class Server:
    """PostgreSQL in a folder of its own, as an unprivileged user, on a socket only."""

    QUIET = "autovacuum=off", "checkpoint_timeout=1d", "wal_level=minimal", "max_wal_senders=0"
    """Only requested writes are made; at other levels a snapshot is written every 15 seconds."""
    SETTINGS = "listen_addresses=", "wal_recycle=off", "max_wal_size=10GB", "fsync=on", *QUIET

    def __init__(self, folder: Path) -> None:
        self.folder, self._programs = folder, max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        shutil.chown(folder, "postgres", "postgres")
        self.run("initdb", "-D", str(folder / "data"), "--no-sync", "-A", "trust", "-U", "postgres")
        options = [word for setting in self.SETTINGS for word in ("-c", setting)]
        words = self._words("postgres", "-D", str(folder / "data"), "-k", str(folder), *options)
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, env=ENVIRONMENT)
        wait_until(self._is_ready)

    def _is_ready(self) -> bool:
        words = self._words("pg_isready", "-h", str(self.folder))
        return subprocess.run(words, capture_output=True, check=False, cwd=self.folder).returncode == 0

    def _words(self, program: str, *words: str) -> list[str]:
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", str(self._programs / program), *words]

    def run(self, program: str, *words: str) -> str:
        done = subprocess.run(self._words(program, *words), capture_output=True, check=True, text=True, cwd=self.folder, timeout=WAIT)
        return done.stdout

    def ask(self, sql: str) -> list[str]:
        return self.run("psql", "-h", str(self.folder), "-U", "postgres", "-XAtc", sql).split("|")

    def bench(self, *words: str) -> str:
        return self.run("pgbench", "-h", str(self.folder), "-U", "postgres", *words, "postgres")

    def end(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=WAIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def server() -> Iterator[Server]:
    folder = Path(
        tempfile.mkdtemp(prefix="filetap-test-", dir="/tmp")
    )  # a socket's path must be short, and its user cannot enter pytest's folders
    try:
        started = Server(folder)
        try:
            yield started
        finally:
            started.end()
    finally:
        shutil.rmtree(folder)


def stable(look: Callable[[], list[str]]) -> list[str]:
    """Wait until the counts are stable: PostgreSQL's processes report them within a second or so."""
    seen, since = look(), time.monotonic()

    def settled() -> bool:
        nonlocal seen, since
        if (now := look()) != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > 3

    wait_until(settled)
    return seen


def test_pgbench(ft: Filetap, server: Server, tmp_path: Path) -> None:
    """The server's own count of its writes and syncs of the log, and pgbench's count of transactions."""
    server.bench("-i", "-q", "-s", "1")
    trace = tmp_path / "t.tap"
    with ft.started("trace", "-e", "io", "-e", "sync", "-o", trace, "-p", server.process.pid) as running:
        running.wait_ready()
        before = list(map(int, stable(lambda: server.ask("SELECT wal_write, wal_sync FROM pg_stat_wal"))))
        since = running_time(server)
        output = server.bench("-c", "2", "-t", "100", "-n")
        after = list(map(int, stable(lambda: server.ask("SELECT wal_write, wal_sync FROM pg_stat_wal"))))
        assert running.end(signal.SIGINT).status == 0
    log = f"path LIKE '{server.folder}/data/pg_wal/0%' AND ts >= '{since}'"
    (row,) = query_rows(
        ft,
        trace,
        f"SELECT count(*) FILTER (call = 'pwrite64') AS writes, count(*) FILTER (call = 'fdatasync') AS syncs FROM events WHERE {log}",
    )
    assert [row["writes"], row["syncs"]] == [now - then for now, then in zip(after, before, strict=True)]
    assert "transactions actually processed: 200/200" in output
    assert 0 < row["syncs"] <= 200 + 10, "a sync for each commit, or for several"
    backends = [row for row in summed(ft, trace, "--by", "process", "--limit", "100000") if not row["others"]]
    assert sum(row["count"] for row in backends) == query_rows(ft, trace, "SELECT count(*) AS n FROM events")[0]["n"]


def running_time(server: Server) -> str:
    return server.ask("SELECT clock_timestamp() AT TIME ZONE 'UTC'")[0].strip()
