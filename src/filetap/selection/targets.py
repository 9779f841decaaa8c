"""Which tasks are traced: converts the targets of the command line to values of the kernel's maps and constants.

Separate from filters.py, which selects their events.
"""

from __future__ import annotations

import os
import select
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from filetap.core import descriptors, mountinfo, wire
from filetap.core.errors import UsageError

COMM_LENGTH = 15


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A cgroup2 directory that exists when it is given."""

    directory: Path
    id: int
    """Its inode number: of this one, never of one that is created in its place."""
    by_path: bool = True
    """Any cgroup with its path is meant."""
    fd: int = field(default=-1, compare=False)
    """A descriptor of the directory: a cgroup that has been removed meanwhile can still be described."""


@dataclass(slots=True)
class Targets:
    """The targets. A union, except ``comms`` with ``cgroups``: then both must hold."""

    command: int = 0
    """pid of a command held before its exec; 0: none."""
    pids: list[int] = field(default_factory=list)
    """By their numbers in filetap's own pid namespace."""
    pidfds: dict[int, int] = field(default_factory=dict)
    """For some of them, a descriptor that shows whether the number is still theirs."""
    comms: list[bytes] = field(default_factory=list)
    cgroups: list[Cgroup] = field(default_factory=list)
    all: bool = False
    follow: bool = True

    def name_process(self, pid: int) -> None:
        """Add a running process, by its number or that of one of its threads."""
        found, pidfd = open_process(pid)
        self.pids.append(found)
        if found in self.pidfds:
            os.close(self.pidfds[found])
        self.pidfds[found] = pidfd

    def check_processes(self) -> None:
        """Raise UsageError if one has ended since it was given: another process may have its number by now."""
        for pid, pidfd in self.pidfds.items():
            if has_ended(pidfd):
                raise UsageError(f"process {pid} has ended: nothing to trace")

    def close(self) -> None:
        """Close the descriptors of the processes."""
        while self.pidfds:
            os.close(self.pidfds.popitem()[1])

    def check(self) -> None:
        if not (self.command or self.pids or self.comms or self.cgroups or self.all):
            raise UsageError("nothing to trace: give -- COMMAND, -p PID, -c NAME, --cgroup ID|PATH or --all")
        for name, values, most in (("-c", self.comms, wire.MAX_COMMS), ("--cgroup", self.cgroups, wire.MAX_CGROUPS)):
            if len(values) > most:
                raise UsageError(f"{name} can be given at most {most} times")

    @property
    def anywhere(self) -> bool:
        """Return whether targets may run outside filetap's pid namespace. Those given by number, and their descendants, do not."""
        return bool(self.comms or self.cgroups or self.all)

    def marks(self) -> dict[int, int]:
        """Return process to TARGET_*: the targets that are running already."""
        own = wire.TARGET_PID | wire.TARGET_LIVE
        marks = dict.fromkeys(self.pids, own)
        if self.command:
            marks[self.command] = own | wire.TARGET_HELD
        return marks

    @property
    def ends_by_itself(self) -> bool:
        """Return True if tracing is over once these processes have ended."""
        return not (self.comms or self.cgroups or self.all)


def open_process(pid: int) -> tuple[int, int]:
    """Return the running process of a pid or thread id: its number, and a descriptor of it (pidfd_open(2))."""
    try:
        return pid, os.pidfd_open(pid)
    except (OSError, OverflowError) as error:
        descriptors.check(getattr(error, "errno", 0))
    process = _process_of_thread(pid)
    if not process:
        raise UsageError(f"no process {pid}: -p takes the pid of a running process")
    pidfd = os.pidfd_open(process)
    if _process_of_thread(pid) == process:
        return process, pidfd
    os.close(pidfd)
    raise UsageError(f"thread {pid} has ended: nothing to trace")


def _process_of_thread(tid: int) -> int:
    """Return the process of a thread; 0: there is none. /proc may be that of another pid namespace, where this number is
    another task's."""
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return 0
        status = Path(f"/proc/{tid}/status").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("Tgid:"))


def has_ended(pidfd: int) -> bool:
    """Return whether the process has ended, with all its threads: then the descriptor is readable."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def find_comm(name: str) -> bytes:
    """Return the first 15 bytes, which is all that the kernel keeps (TASK_COMM_LEN, include/linux/sched.h)."""
    comm = os.fsencode(name)[:COMM_LENGTH]
    if not comm:
        raise UsageError("-c takes the name of a command; it must not be empty")
    return comm


def cgroup_root() -> Path:
    """Return the mount point of the cgroup2 hierarchy."""
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        fields, _, rest = line.partition(b" - ")
        if rest.split()[0] == b"cgroup2":
            return Path(os.fsdecode(mountinfo.parse(fields)[0].point))
    raise UsageError("no cgroup2 hierarchy is mounted here, so --cgroup and --sandbox cannot work")


def find_cgroup(name: str) -> Cgroup:
    """Return a cgroup by id, by its directory, or by its path below the hierarchy's root."""
    root = cgroup_root()
    if not name:
        raise UsageError("--cgroup takes an id or a directory; it must not be empty (--all traces everything)")
    number = int(name) if name.isascii() and name.isdigit() else None
    directory = _by_path(root, name) if number is None else _by_id(root, number)
    found = _open_cgroup(directory, number is None) if directory else None
    if found is None or number not in (None, found.id):
        raise UsageError(f"no cgroup {name}: --cgroup takes an id or a directory below {root}")
    return found


def _open_cgroup(directory: Path, by_path: bool) -> Cgroup | None:
    try:
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        descriptors.check(error.errno or 0)
        return None
    return Cgroup(directory, os.fstat(fd).st_ino, by_path, fd)


def _by_id(root: Path, number: int) -> Path | None:
    return next((Path(path) for path, _, _ in os.walk(root) if inode(path) == number), None)


def inode(path: str | Path) -> int | None:
    """Return the inode number. None: there is no such cgroup, or it has been removed."""
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return None


def _by_path(root: Path, name: str) -> Path | None:
    for candidate in (Path(name), root / name.lstrip("/")):
        directory = candidate.resolve()
        if directory.is_dir() and directory.is_relative_to(root):
            return directory
    return None


class Sandbox:
    """A cgroup only for a command, so that daemons it leaves behind are still traced; removed at the end."""

    def __init__(self) -> None:
        root = cgroup_root()
        try:
            self.path = _make_new(root / f"filetap-{os.getpid()}")
        except OSError as error:
            raise UsageError(f"--sandbox: cannot create a cgroup in {root}: {error.strerror}") from None

    def cgroup(self) -> Cgroup:
        return find_cgroup(str(self.path))

    def adopt(self, pid: int) -> None:
        (self.path / "cgroup.procs").write_text(str(pid))

    def populated(self) -> bool:
        """Return whether it has processes. One that has been removed has none."""
        try:
            return "populated 1" in (self.path / "cgroup.events").read_text()
        except FileNotFoundError:
            return False

    def remove(self) -> str:
        """Remove it. Return "", or a line for the user if processes are still in it."""
        try:
            self.path.rmdir()
        except OSError as error:
            return f"the sandbox {self.path} could not be removed ({error.strerror}): remove it with rmdir when its processes have ended"
        return ""


def _make_new(path: Path) -> Path:
    """Create a directory of this name, or of a similar one: in another pid namespace another filetap has the same number."""
    for number in count(2):
        try:
            path.mkdir()
            return path
        except FileExistsError:
            path = path.with_name(f"{path.name.partition('.')[0]}.{number}")
    raise AssertionError
