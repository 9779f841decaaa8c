"""PATHs as the kernel's rules: by identity, which the kernel reads from filetap's descriptors, and by name, as hashes.

Separate from filters.py, which defines the filters: here they are looked up on this machine. bpf/lib/path_rules.bpf.h computes
the same hashes.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from filetap.capture.name_filter import UnresolvedNameFilter
from filetap.core import mountinfo, wire
from filetap.core.batch import Batch, File
from filetap.core.calls import OP_NUMBER
from filetap.core.descriptors import DescriptorLimitError
from filetap.core.errors import UsageError
from filetap.core.wire import Records
from filetap.kernel.loader import Object
from filetap.kernel.maps import Map
from filetap.selection.filters import FOLLOWED, Filters, below, open_paths, portions

HASH_SEED, HASH_PRIME, HASH_CHAIN = 0xCBF29CE484222325, 0x100000001B3, 0x9E3779B97F4A7C15
MASK: Final = (1 << 64) - 1
LONGEST: Final = 63
ARRIVING: Final = (OP_NUMBER["rename"], OP_NUMBER["link"])
BETWEEN_LOOKS: Final = 0.1
NAMES_IN_A_LOOK: Final = 128
"""Names looked up at a time. Each needs a descriptor for a moment, and the process must not run out of them."""
U32: Final = np.dtype("<u4")
U64: Final = np.dtype("<u8")


def name_hash(name: bytes) -> int:
    """FNV-1a."""
    value = HASH_SEED
    for byte in name:
        value = (value ^ byte) * HASH_PRIME & MASK
    return value


def names_hash(names: Iterable[bytes]) -> int:
    """Return the hash of names one below the other, from the uppermost."""
    value = 0
    for name in reversed(list(names)):
        value = value * HASH_CHAIN & MASK ^ name_hash(name)
    return value


class WatchPath(NamedTuple):
    """The place of a PATH, which need not exist yet."""

    path: str
    """Without symbolic links."""
    directory: str
    """The nearest directory above it that exists."""
    names: tuple[bytes, ...]
    """The names from there down to it; none: it is the root."""

    @property
    def exists(self) -> bool:
        return os.path.lexists(self.path)


def _why_not(path: str, real: str) -> int:
    """Return the kernel's error number for a PATH; 0: it leads to a file with the name ``real``."""
    try:
        os.stat(path)
    except OSError as error:
        return error.errno or 0
    return 0 if os.path.lexists(real) else errno.ENOENT


def find_watch_path(path: str, wait: bool) -> WatchPath:
    """Find the place of a PATH. ``wait``: it need not exist. Raise UsageError with what to do."""
    if not path:
        raise UsageError("a PATH is empty: give the name of a file or directory")
    real = os.path.realpath(path)
    reason = _why_not(path, real)
    if reason == errno.ENAMETOOLONG or (reason and not wait):
        hint = "; --missing-ok watches for a file that does not exist yet" if reason == errno.ENOENT else ""
        raise UsageError(f"{path}: {os.strerror(reason)}{hint}")
    directory, name = os.path.split(real)
    names = [name] if name else []
    while not os.path.isdir(directory):
        if os.path.lexists(directory):
            raise UsageError(f"{path}: {directory} is not a directory, so no file can appear below it")
        directory, name = os.path.split(directory)
        names.insert(0, name)
    if len(names) > wire.MAX_PATH_RULE_DEPTH:
        raise UsageError(
            f"{path}: {len(names)} components of this path do not exist; --missing-ok allows at most {wire.MAX_PATH_RULE_DEPTH}"
        )
    return WatchPath(real, directory, tuple(map(os.fsencode, names)))


@dataclass(slots=True)
class NameRules:
    """The names that the kernel needs before identities are known."""

    watch_paths: list[WatchPath] = field(default_factory=list)
    """The place of each PATH, if they are watched by name."""
    basenames: list[int] = field(default_factory=list)
    """Hashes of the last names of all PATHs: a requested name without any of them cannot lead there."""

    @classmethod
    def of(cls, filters: Filters) -> NameRules:
        """Return the rules. Raise UsageError for a PATH that cannot be watched."""
        watch_paths = [find_watch_path(path, filters.wait) for path in filters.paths] if filters.places else []
        last = {os.path.basename(form(path)) for path in filters.paths for form in (os.path.abspath, os.path.realpath)}
        return cls(watch_paths, [name_hash(os.fsencode(name)) for name in sorted(last | {".."})])

    @property
    def longest(self) -> int:
        """Return the largest number of names of a place."""
        return max((len(watched.names) for watched in self.watch_paths), default=0)

    @property
    def lengths(self) -> int:
        """Return one bit per length of a name."""
        return _bits(min(len(name), LONGEST) for watched in self.watch_paths for name in watched.names)

    @property
    def basename_bits(self) -> int:
        return _bits(leaf & 63 for leaf in self.basenames)


def _bits(numbers: Iterable[int]) -> int:
    bits = 0
    for number in numbers:
        bits |= 1 << number
    return bits


class Rules:
    """The maps of rules, filled from filetap's descriptors: only the kernel knows a file's identity."""

    def __init__(self, iterators: Object) -> None:
        self._iterators = iterators
        self._inode_rules = Map(iterators.map_fd("inode_rules"), wire.RULE_KEY, U32)
        self._path_rules = Map(iterators.map_fd("path_rules"), wire.PATH_RULE_KEY, U32)
        self._basenames = Map(iterators.map_fd("basenames"), U64, U32)
        self._written: dict[bytes, int] = {}

    def write(self, filters: Filters, names: NameRules) -> None:
        """Write everything that is known before anything is attached."""
        self._basenames.put_all(np.array(names.basenames, U64), np.ones(len(names.basenames), U32))
        if filters.places:
            self._write_hardlinks(filters, names.watch_paths)
            self._write_names(filters, names.watch_paths)
            for some in portions(lasting(filters, names.watch_paths)):
                self._put(open_paths(some, gone=True))
            return
        for some in portions(filters.rules()):
            self._put(open_paths(some))
        if filters.follow:
            for paths in portions(below(filters)):
                self._put(open_paths([(path, wire.RULE_TREE) for path in paths], gone=True))

    def _write_hardlinks(self, filters: Filters, watch_paths: list[WatchPath]) -> None:
        """Write these first, because other rules for the same file must override them."""
        rule = filters.hardlink_rule
        files = (watched.path for watched in watch_paths if not os.path.isdir(watched.path))
        many = 0
        for paths in portions(chain(files, below(filters, directories=filters.follow))):
            many += len(paths)
            if many > FOLLOWED:
                raise UsageError(f"more than {FOLLOWED} files: watch fewer, or use filetap trace --all PATH without --follow")
            keys = np.unique(self._identify(open_paths([(path, rule) for path in paths], gone=True))["key"])
            self._inode_rules.put_all(keys, np.full(len(keys), rule, U32))

    def add_hardlinks(self, paths: list[str], rule: int) -> int:
        """Add files that were created since. Existing rules stay. Return how many found no room."""
        identified = self._identify(open_paths([(path, rule) for path in paths], gone=True))
        return sum(not self._inode_rules.add(row["key"], rule) for row in identified)

    def _write_names(self, filters: Filters, watch_paths: list[WatchPath]) -> None:
        """Write rules by name: a PATH means whatever has its name later."""
        named = [watched for watched in watch_paths if watched.names]
        for some in portions(named):
            opened = open_paths([(watched.directory, number) for number, watched in enumerate(some)], gone=True)
            keys = [(row["key"], names_hash(some[opened[int(row["fd"])]].names)) for row in self._identify(dict(opened))]
            self._path_rules.put_all(np.array(keys, wire.PATH_RULE_KEY), np.full(len(keys), filters.include, U32))

    def _put(self, opened: dict[int, int]) -> None:
        """Add rules. ``opened``: descriptor to RULE_*. Several rules for one file all apply."""
        for row in self._identify(opened):
            key = row["key"].tobytes()
            self._written[key] = self._written.get(key, 0) | opened[int(row["fd"])]
            self._inode_rules.put(row["key"], self._written[key])

    def identity_of(self, path: str) -> Records:
        """Return one record of wire.RULE_KEY."""
        return self._identify(open_paths([(path, 0)]))["key"][:1]

    def _identify(self, opened: dict[int, int]) -> Records:
        """Return the identities of descriptors, and close these."""
        try:
            identified = np.frombuffer(self._iterators.run_iterator("file_ids") if opened else b"", wire.IDENTIFIED)
        finally:
            for fd in opened:
                os.close(fd)
        return identified[np.isin(identified["fd"], list(opened))]


class NewFileTracker:
    """Tracks files that rename(2) and link(2) bring to a watched name. If no hook reports the file, such a call has only
    names. So user space looks the names up, and the file matches under its other names too before it is first used there. The
    file found at a watched name is meant, even if another call came between."""

    def __init__(self, rules: Rules, filters: Filters, watch_paths: list[WatchPath]) -> None:
        self._rules, self._rule = rules, filters.hardlink_rule
        self._watched = UnresolvedNameFilter(Filters(paths=[watched.path for watched in watch_paths], recursive=filters.recursive))
        self._names: set[bytes] = set()
        self._due = 0.0
        self.missed = 0
        """Names that were not looked up, and files that found no room."""

    def note(self, batch: Batch) -> None:
        """Note both names of each, because two files may have been exchanged. Names that exceed one lookup are recognised at
        their first use."""
        two = batch.events[batch.events["flags"] & wire.HAS_EXT != 0]
        done = np.isin(wire.OP_OF_CALL[two["call"]], ARRIVING) & (two["result"] == 0)
        for number in {*two["file"][done].tolist(), *batch.ext["target"][done].tolist()} if done.any() else ():
            name = batch.names.get(number)
            if not name or not name.path or name.foreign:
                continue
            if len(self._names) < NAMES_IN_A_LOOK:
                self._names.add(name.path)
            else:
                self.missed += name.path not in self._names and self._watched.leads_to(name.path)

    def _add(self, files: list[str]) -> int:
        """Return how many found no room."""
        try:
            return self._rules.add_hardlinks(files, self._rule)
        except DescriptorLimitError:
            return len(files)

    def look(self) -> bool:
        """Look names up, at intervals, because the kernel goes through all descriptors to identify ours. Return whether files
        that are cached as rejected may match now."""
        if not self._names or time.monotonic() < self._due:
            return False
        found = {os.path.join(os.path.realpath(os.path.dirname(name)), os.path.basename(name)) for name in self._names}
        self._names.clear()
        files = [os.fsdecode(path) for path in found if self._watched.leads_to(path) and not os.path.isdir(path)]
        if files:
            self.missed += self._add(files)
            self._due = time.monotonic() + BETWEEN_LOOKS
        return bool(files)


def lasting(filters: Filters, watch_paths: list[WatchPath]) -> list[tuple[str, int]]:
    """Return path and RULE_* of what is matched by its identity alone: with --follow everything, and always the root of a
    file system at a mount point, because it has another name elsewhere."""
    points = {mount.point for mount in mountinfo.parse(Path(mountinfo.MOUNTINFO).read_bytes())}
    here = [watched.path for watched in watch_paths if watched.exists]
    return [(path, filters.include) for path in here if filters.follow or os.fsencode(path) in points]


def own_root(rules: Rules) -> Callable[[File], bool]:
    """Return a test whether a file is the root directory of this process. By its identity, because each mount namespace calls
    its root /."""
    own = rules.identity_of("/")[0]

    def is_own(file: File) -> bool:
        same = own["inode"] == file.inode and own["device"] == file.device
        return bool(same and (file.real_inode or (own["generation"] == file.generation and own["layer"] == file.subvolume)))

    return is_own
