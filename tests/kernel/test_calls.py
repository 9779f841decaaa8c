"""Each call of open, close, read, write and dup, made by number in C: the events match what the program reports.

Separate from the tests of processes and targets. Expected values come from calls/: the program's own arguments and
results, lseek, fstat, /proc/self/fd and the clock around each call.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from filetap.core.calls import CALLS, MAX_NR
from filetap.kernel.types import KernelTypes
from tests.kernel.harness import READING, Event, Run, trace, wanted

NONE: Final = -1000
OPS: Final = ("open", "close", "read", "write", "dup", "process")
FLAGS: Final = {"latency": {"latency": True}, "no-latency": {"latency": False}}
CASES: Final = (
    "open open_create open_symlink open_errors open_relative openat openat2 creat open_tmpfile open_denied open_limit close "
    "read read_errors readv readv_errors pread64 preadv preadv2 "
    "write write_append write_errors write_limit writev pwrite64 pwrite64_append pwritev pwritev2 pwritev2_append "
    "dup dup2 dup3 fcntl memfd deleted tmpfile"
).split()


def make_tree(folder: Path) -> Path:
    """Create the files that calls/ expects."""
    (folder / "data").write_bytes(bytes(range(250)) * 40)
    (folder / "link").symlink_to("data")
    (folder / "loop").symlink_to("loop")
    (folder / "dir").mkdir()
    (folder / "secret").touch(0)
    os.mkfifo(folder / "fifo")
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(0o755)
    return folder


@pytest.fixture(scope="module", params=FLAGS)
def run(request: pytest.FixtureRequest, program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = trace([program("calls"), make_tree(tmp_path_factory.mktemp("calls"))], wanted(*OPS), FLAGS[request.param])
    assert run.status == 0
    return run


def events_of(run: Run, case: str) -> list[Event]:
    """Return the events between the case's marker and the next."""
    found: list[Event] = []
    inside = False
    for event in run.events:
        if event.path.startswith(b"/case/"):
            inside = event.path == b"/case/" + case.encode()
        elif inside:
            found.append(event)
    return found


def lines_of(run: Run, case: str) -> list[dict[str, Any]]:
    lines = [line for line in run.lines if line["case"] == case]
    assert lines, "the program has no such case"
    return lines


def test_every_case_is_in_the_table(run: Run) -> None:
    assert sorted({line["case"] for line in run.lines}) == sorted(CASES)


@pytest.mark.parametrize("case", CASES)
def test_calls_results_and_descriptors(run: Run, case: str) -> None:
    """The same calls in the same order: none is missing, reported twice or confused with another."""
    assert [(e.call, e.fd, e.result) for e in events_of(run, case)] == [(x["call"], x["fd"], x["result"]) for x in lines_of(run, case)]


@pytest.mark.parametrize("case", CASES)
def test_offsets_and_sizes(run: Run, case: str) -> None:
    """For an open: flags and mode."""
    lines = lines_of(run, case)
    expected = [tuple(None if x[name] == NONE else x[name] for name in ("offset", "size")) for x in lines]
    events = events_of(run, case)
    moves = [(e.offset, e.size) if e.op in ("open", "read", "write") else (None, None) for e in events]
    without = [(e.offset, None) if x["size"] == NONE else pair for e, x, pair in zip(events, lines, moves, strict=True)]
    assert [(o if x["offset"] != NONE else None, s) for (o, s), x in zip(without, lines, strict=True)] == expected
    unknown = [e.size for e, x in zip(events, lines, strict=True) if x["size"] == NONE and e.op == "read"]
    assert unknown == [None] * len(unknown)


@pytest.mark.parametrize("case", CASES)
def test_files(run: Run, case: str) -> None:
    """Path, inode, device and type are those of the descriptor itself."""
    for event, line in zip(events_of(run, case), lines_of(run, case), strict=True):
        if not line["inode"]:
            continue
        assert event.file is not None
        assert event.file.resolved
        assert event.path.decode() == line["path"].removesuffix(" (deleted)")
        assert event.file.inode == line["inode"]
        assert event.file.mode >> 12 == line["mode"] >> 12
        assert stat.S_ISREG(event.file.mode)
        assert event.file.device == line["major"] << 20 | line["minor"]


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith(("open", "creat"))])
def test_names_of_failed_opens(run: Run, case: str) -> None:
    """The path is the requested one, joined to its start directory, and marked as not resolved."""
    folder = Path(next(x for x in run.lines if x["case"] == "open")["path"]).parent
    for event, line in zip(events_of(run, case), lines_of(run, case), strict=True):
        if line["result"] >= 0:
            continue
        starts = {"open_relative": folder / "dir", "openat": folder, "openat2": folder}.get(case, Path("/"))
        if case == "openat" and line["requested"] == "none":
            starts = folder / "dir"
        if case == "openat" and line["requested"] == "x":
            starts = folder / "data"
        if line["requested"] == "../escape":
            assert event.file is not None
            assert (event.path, event.file.requested) == (os.fsencode(folder), b"../escape")  # refused there, and looked up no further
            continue
        if line["result"] == -errno.EFAULT:
            assert event.file is None  # nothing could be read of its name
            continue
        if not line["requested"]:
            starts = Path.cwd()
        assert event.file is not None
        assert not event.file.resolved
        assert event.path == os.fsencode(os.path.normpath(starts / line["requested"]))


@pytest.mark.parametrize("case", CASES)
def test_times(run: Run, case: str) -> None:
    """Each event begins and ends between the program's two readings of the clock."""
    timed = any(event.duration for event in run.events)
    for event, line in zip(events_of(run, case), lines_of(run, case), strict=True):
        assert line["before"] <= event.time <= line["after"]
        if timed:
            assert 0 < event.duration <= event.time - line["before"]


def test_latency_is_reported_only_on_request(run: Run, request: pytest.FixtureRequest) -> None:
    wanted_ = "[latency]" in request.node.name
    of_calls = [event for event in run.events if event.op in ("open", "read", "write", "close", "dup")]
    assert of_calls
    assert {bool(event.duration) for event in of_calls} == {wanted_}


def test_deleted_is_flagged_from_the_unlink_on(run: Run) -> None:
    flags = [event.file.deleted for event in events_of(run, "deleted") if event.file]
    assert flags == [False, True, True, True]


def test_process_fields(run: Run) -> None:
    """Process, parent, credentials, executable, command and cgroup, compared with /proc and with what the parent knows."""
    tasks = {event.task.credentials.euid: event.task for event in run.events if event.op == "open"}
    assert set(tasks) == {0, 65534}
    for task in tasks.values():
        assert (task.pid, task.tid, task.ppid) == (run.pid, run.pid, os.getpid())
        assert (task.credentials.uid, task.credentials.gid) == (0, 0)
        assert task.comm == b"calls"
        assert Path(os.fsdecode(task.exe)).name == "calls"
        assert task.root == b"/"
    assert {event.tid for event in run.events if event.op == "read"} == {run.pid}


def test_statistics(run: Run) -> None:
    """Delivered equals seen, and matches what the program did (plus markers and its start)."""
    for name, op in run.stats.ops.items():
        assert (op.seen, op.aggregated, op.lost) == (op.delivered, 0, 0), name
    moved = {"read": 0, "write": 0}
    for line in run.lines:
        family = "read" if "read" in line["call"] else "write" if "write" in line["call"] else ""
        if family:
            moved[family] += max(0, line["result"])
    folder = os.path.dirname(lines_of(run, "open")[0]["path"]).encode()
    start = sum(max(0, e.result) for e in run.events if e.op == "read" and not e.path.startswith(folder) and b"memfd" not in e.path)
    assert run.stats.ops["write"].bytes == moved["write"]
    assert run.stats.ops["read"].bytes - start == moved["read"]


@pytest.mark.parametrize("latency", FLAGS)
def test_classic_tracepoints_see_the_same(program: Callable[[str], str], tmp_path: Path, latency: str) -> None:
    """With only opens and dups other hooks are attached; they report the same about each call."""
    run = trace([program("calls"), make_tree(tmp_path)], wanted("open", "dup"), FLAGS[latency])
    cases = [case for case in CASES if case.startswith(("open", "creat", "dup", "fcntl"))]
    for case in cases:
        lines = [line for line in lines_of(run, case) if "read" not in line["call"]]
        events = events_of(run, case)
        assert [(e.call, e.fd, e.result) for e in events] == [(x["call"], x["fd"], x["result"]) for x in lines]
        opens = [(e.offset, e.size) for e in events if e.op == "open"]
        assert opens == [(x["offset"], x["size"]) for x in lines if x["call"].startswith(("open", "creat"))]
        paths = [(e.path.decode(), e.file and e.file.inode) for e, x in zip(events, lines, strict=True) if x["inode"]]
        assert paths == [(x["path"].removesuffix(" (deleted)"), x["inode"]) for x in lines if x["inode"]]
        assert {bool(e.duration) for e in events} == {latency == "latency"}


ALONE = (
    "open creat close read read_errors readv pread64 preadv preadv2 write write_append write_errors writev pwrite64 pwritev pwritev2"
).split()


@pytest.mark.parametrize("case", ALONE)
def test_nothing_is_uncertain_for_one_thread_alone(run: Run, case: str) -> None:
    """No event of a single-threaded program is flagged as uncertain."""
    assert [event for event in events_of(run, case) if event.uncertain] == []


def test_one_number_per_open_file(tmp_path: Path) -> None:
    """The same id from open over dup to the last close; another one for another open of the same file."""
    (tmp_path / "file").write_text("x")
    code = f"import os; a=os.open('{tmp_path}/file',0); b=os.open('{tmp_path}/file',0); c=os.dup(a); [os.pread(f,1,0) for f in (a,b,c)]"
    run = trace(["/usr/bin/python3", "-I", "-S", "-c", code], wanted("open", "pread64", "dup", "fcntl"))
    mine = [event for event in run.events if event.path == os.fsencode(tmp_path / "file")]
    first, second = mine[0].open, mine[1].open
    assert [(event.op, event.open) for event in mine] == [
        ("open", first),
        ("open", second),
        ("dup", first),
        ("read", first),
        ("read", second),
        ("read", first),
    ]
    assert first != second
    assert first
    assert second


def test_interrupted_and_restarted() -> None:
    """One event per attempt: ERESTARTSYS (512), then the result of the call."""
    code = """
import signal
signal.signal(signal.SIGUSR1, lambda *a: None); signal.siginterrupt(signal.SIGUSR1, False)
r, w = os.pipe(); os.dup2(r, 77); parent = os.getpid()
if not os.fork():
    for act in (lambda: os.kill(parent, signal.SIGUSR1), lambda: os.write(w, b'abc')):
        wait_until_it_reads(parent, 77); time.sleep(0.1); act()
    os._exit(0)
os.read(77, 10)
"""
    run = trace(["/usr/bin/python3", "-I", "-S", "-c", READING + code], wanted("read", types=["pipe"]))
    mine = [event for event in run.events if event.fd == 77]
    assert [event.result for event in mine] == [-512, 3]
    assert all(event.duration >= 100_000_000 for event in mine)


def looks_at_all() -> bool:
    """Return whether the programs for kernels with bpf_rdonly_cast (v6.2) are loaded: their loops are by bpf_loop."""
    with KernelTypes() as types:
        return types.has_cast()


@pytest.mark.parametrize("far", [65_535, 190_000])
def test_a_close_range_of_very_many_descriptors(far: int, tmp_path: Path) -> None:
    """Before v6.2 those more than 64 Ki behind the first one are not reported: a note says so, and only then."""
    path = tmp_path / "file"
    path.touch()
    code = f"""
import ctypes, os, resource
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, ({far + 1}, {far + 1}))
except ValueError:
    os._exit(77)
os.dup2(os.open({os.fspath(path)!r}, 0), {far})
os._exit(-ctypes.CDLL(None).syscall(436, 0, 0xFFFFFFFF, 0))
"""
    run = trace(["/usr/bin/python3", "-I", "-S", "-c", code], wanted("close", paths=[str(path)]))
    if run.status == 77:
        pytest.skip("the limit on descriptors cannot be raised here")
    assert run.status == 0
    reported = [event.fd for event in run.events if event.call == "close_range"]
    missing = [note for note in run.stats.notes if "close_range" in note]
    always = far < 65_536 or looks_at_all()
    assert reported in ([[3, far]] if always else [[3], [3, far]])
    assert len(missing) == (far not in reported)


def test_invalid_descriptor() -> None:
    """EBADF is an attempt too: it is reported with its descriptor, and no file."""
    code = """
import os  # os.dup() is fcntl(F_DUPFD_CLOEXEC)
for attempt in (lambda: os.read(999, 1), lambda: os.close(998), lambda: os.dup(997), lambda: os.pwrite(996, b'x', 7)):
    try:
        attempt()
    except OSError:
        pass
"""
    run = trace(["/usr/bin/python3", "-I", "-S", "-c", code], wanted("io", "close", "dup", types=["all"], failed=True))
    mine = [(event.call, event.fd, event.result, event.file) for event in run.events if event.result == -errno.EBADF]
    assert mine == [(call, fd, -errno.EBADF, None) for call, fd in (("read", 999), ("close", 998), ("fcntl", 997), ("pwrite64", 996))]


def refusable() -> list[tuple[str, int, list[list[int]]]]:
    """Return every system call that takes a file descriptor: its name, number, and arguments to try. The descriptor is invalid, and the
    other arguments are zero, or values that every call refuses."""
    rows = []
    for call in CALLS:
        words = call.shape.split()
        places = [at for at, word in enumerate(words) if word in ("fd", "to_fd", "dir")]
        if not places or not 0 <= call.nr < MAX_NR or (call.other and call.name not in ("fcntl", "ioctl")):
            continue
        tries = [[999 if at in places else rest for at in range(6)] for rest in (0, -1)]
        for arguments in tries:
            if call.name == "mmap":
                arguments[3] &= ~0x20  # MAP_ANONYMOUS uses no file
            if call.name in ("fcntl", "ioctl"):
                arguments[1] = {"dup": 0, "lock": 6, "reflink": 0x40049409, "dedupe": 0xC0189436}[call.op]
            if "name" in words:
                arguments[words.index("name")] = 0  # another test covers names
        rows.append((call.name, call.nr, tries))
    return rows


def test_calls_on_invalid_descriptors_are_all_reported() -> None:
    """Whatever the kernel checks first: EBADF, EINVAL, EFAULT, ... or no error. The oracle is what the calls returned. A call that
    returns EFAULT for its name has not looked at the descriptor."""
    code = f"""
import ctypes, json
libc = ctypes.CDLL(None, use_errno=True)
for name, number, tries in {refusable()!r}:
    for arguments in tries:
        result = libc.syscall(number, *map(ctypes.c_long, arguments))
        print(json.dumps({{"call": name, "result": result if result >= 0 else -ctypes.get_errno()}}))
"""
    run = trace(["/usr/bin/python3", "-I", "-S", "-c", code], wanted("all", types=["all"]))
    made = [(line["call"], line["result"]) for line in run.lines if line["result"] != -errno.ENOSYS]
    mine = [event for event in run.events if 999 in (event.fd, event.target_fd) or event.result == -errno.EFAULT]
    events = [event for event in mine if event.result != -errno.ENOSYS]
    assert {result < 0 for _, result in made} == {True, False}  # a splice of no bytes succeeds
    assert [(event.call, event.result) for event in events] == made
    assert {event.file for event in events if event.fd in (999, -1)} == {None}


def test_32_bit_calls(program: Callable[[str], str], tmp_path: Path) -> None:
    """int $0x80 has other numbers: these calls are not confused with others, and a note says how many there were."""
    file = tmp_path / "file"
    file.write_text("hello")
    run = trace([program("files"), "compat", file], wanted("open", "io", "close", "dup", types=["all"], paths=[str(file.parent)]))
    (line,) = run.lines
    assert (line["read"], line["write"], line["pid"], line["close"]) == (5, 2, run.pid, 0)
    assert [(event.call, event.result > 0) for event in run.events] == [("openat", True), ("read", True), ("close", False)]
    assert all(event.path == os.fsencode(file) for event in run.events)
    (note,) = [note for note in run.stats.notes if "32-bit" in note]
    assert int(note.split()[0]) == 6
