"""Names of changes whose text does not lead to a PATH: looked up right after the call, as the caller saw them, and checked by
the kernel's own rules.

Separate from filters.py, which compares text: a symbolic link, a bind mount or another mount namespace gives a watched file
another name, and if no hook reports which file a call has changed, only a lookup can tell.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from itertools import count
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from filetap.capture.definitions import Definitions, Given
from filetap.capture.lookup import Lookup, Opened, Roots, last_component, newest_link, open_named
from filetap.capture.name_filter import UnresolvedNameFilter
from filetap.capture.rules import HASH_CHAIN, HASH_PRIME, HASH_SEED, LONGEST, MASK, NameRules, name_hash
from filetap.core import wire
from filetap.core.batch import Batch, File, Task
from filetap.core.calls import CALLS, CHANGES, NOFOLLOW
from filetap.core.clock import Clock
from filetap.core.wire import Records
from filetap.kernel.loader import Object
from filetap.kernel.maps import Map
from filetap.render.columns import durations, encode, pack, second

LOOKS: Final = 4096
"""Names that are looked up in one batch."""
AT_ONCE: Final = 256
"""Names that are looked up at a time: each needs a descriptor for a moment."""
BELIEVED: Final = 100_000_000
"""ns for which a name that led elsewhere is not looked up again, whatever is moved meanwhile."""
SLACK: Final = 20_000_000
"""ns by which a file's ctime may precede the begin of the call, or its end if that is all that is known: two ticks of the
kernel's coarse clock."""
SECOND: Final = 1_000_000_000
FIRST_ID: Final = 7 << 29
"""Ids of files from here on are made here; lower ones are the reader's and those of pending calls."""
ANY: Final = b"\0"
"""A name that no rule has."""
U32: Final = np.dtype("<u4")
U64: Final = np.dtype("<u8")
AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW = 0x100, 0x400


class Answer(NamedTuple):
    """The result of a lookup."""

    path: bytes
    wanted: bool
    inode: int = 0
    device: int = 0
    generation: int = 0
    mode: int = 0
    changed: int = 0
    """The ctime of the file, or of the name's directory: ns since 1970."""
    link: bool = False
    """A symbolic link at the end of the name has led there, or may have."""

    linked: int = 0
    """The ctime of the newest symbolic link on the way; 0: there were none."""

    def stood(self, when: int) -> bool:
        """Return whether the links led there at that time already."""
        return self.linked == 0 or self.linked + SLACK <= when

    def confirms(self, first: int, last: int) -> bool:
        """Return whether calls of Lookups.first to last may have changed this. A time in whole seconds may be two seconds old."""
        return self.stood(first) and self.changed + (SLACK if self.changed % SECOND else 2 * SECOND) >= last


class Lookups(NamedTuple):
    """The events of a batch that must be looked up."""

    rows: NDArray[np.int32]
    """For each event, the index of its distinct (file, target, task, call, argument)."""
    first: NDArray[np.int64]
    """For each distinct one, when the first of its calls began, or ended if their durations are not known; ns since 1970."""
    last: NDArray[np.int64]
    tasks: list[Task | None]
    """The tasks that made them."""
    names: list[dict[int, Lookup]]
    """Their names that can be looked up, by id."""
    expected: list[int]
    """The number of names that must be looked up."""


class Judge:
    """Gets the verdict of the kernel's rules on files of filetap's descriptors."""

    def __init__(self, iterators: Object, names: NameRules) -> None:
        self._iterators, self._lengths = iterators, names.lengths
        self._file_queries = Map(iterators.map_fd("query_files"), U32, wire.FILE_QUERY)

    def __call__(self, opened: list[Opened]) -> dict[int, Answer]:
        """Return answers by descriptor, except for those whose path the kernel could not return completely."""
        fds = np.array([one.fd for one in opened], U32)
        file_queries = np.zeros(len(opened), wire.FILE_QUERY)
        for row, one in zip(file_queries, opened, strict=True):
            row["below"] = one.entry is not None
            if one.entry and self._lengths >> min(len(one.entry), LONGEST) & 1:
                row["hash"] = name_hash(one.entry)
        self._file_queries.put_all(fds, file_queries)
        try:
            verdicts = dict(_answers(self._iterators.run_iterator_on_ourselves("judge_files")))
        finally:
            self._file_queries.delete(fds)
        return {one.fd: self._complete(verdicts[one.fd], one) for one in opened if one.fd in verdicts}

    @staticmethod
    def _complete(answer: Answer, one: Opened) -> Answer:
        changed = os.fstat(one.fd).st_ctime_ns
        if one.entry is None:
            return answer._replace(changed=changed, link=one.link)
        return Answer(answer.path.rstrip(b"/") + b"/" + one.entry, answer.wanted, changed=changed, link=one.link)


def _answers(output: bytes) -> Iterator[tuple[int, Answer]]:
    at = 0
    while at < len(output):
        row = np.frombuffer(output, wire.JUDGED, 1, at)[0]
        at += wire.JUDGED.itemsize
        names = output[at : at + int(row["length"])].split(b"\0")[-2::-1]
        at += int(row["length"])
        path = b"/" + b"/".join(name for name in names if name != b"/")
        inode, _, device, generation = row["key"].item()
        if not row["flags"] & (wire.TRUNCATED | wire.DELETED | wire.RACED):
            yield int(row["fd"]), Answer(path, bool(row["wanted"]), inode, device, generation, int(row["mode"]))


def follows(call: int, argument: int) -> bool:
    """Return whether a change by this call follows a symbolic link at the end of the name."""
    name, op = CALLS[call].name, CALLS[call].op
    if op == "link":
        return bool(argument & AT_SYMLINK_FOLLOW)
    return name not in NOFOLLOW and not ("argument" in CALLS[call].shape and argument & AT_SYMLINK_NOFOLLOW)


def elsewhere_key(given: Given, entry: bytes | None) -> int | None:
    """Return the key of leads_elsewhere() of bpf/lib/name.bpf.h; None: the kernel stores no such name. ``entry``: as in
    Lookup."""
    directory, root, name = given
    if name.endswith(b"/") or len(name) >= 255:
        return None
    value = HASH_SEED
    for byte in name.rpartition(b"/")[0] if entry == ANY else name:
        value = (value ^ byte) * HASH_PRIME & MASK
    value = (value ^ directory) * HASH_CHAIN & MASK
    change = wire.CHANGE_FILE if entry is None else 0 if entry == ANY else wire.CHANGE_ENTRY
    return ((value ^ root) * HASH_CHAIN + change) & MASK


class Elsewhere:
    """The kernel's table of names that led to no matching file."""

    def __init__(self, table: int, epochs: Records, clock: Clock) -> None:
        """``table``: the map's descriptor. ``epochs``: struct globals."""
        self._table, self._epochs, self._clock = Map(table, U64, wire.ELSEWHERE), epochs, clock

    def moment(self) -> Records:
        """Return the value to store there for a lookup that begins now."""
        value = np.zeros(1, wire.ELSEWHERE)
        value["until"] = self._clock.boot() + BELIEVED
        value["epoch"] = self._epochs["epoch"][0] + self._epochs["symlinks"][0]
        return value

    def remember(self, keys: set[int], moment: Records) -> None:
        if keys:
            self._table.put_all(np.array(sorted(keys), U64), moment.repeat(len(keys)))


class Later:
    """Changes of one batch whose names must be looked up: keeps those that led to a matching file, with the files in place of
    the names."""

    def __init__(
        self, judge: Judge, definitions: Definitions, elsewhere: Elsewhere, names: UnresolvedNameFilter, basenames: Collection[int]
    ) -> None:
        """``basenames``: hashes of the last names of PATHs."""
        self._judge, self._definitions, self._elsewhere, self._wanted = judge, definitions, elsewhere, names
        self._basenames = frozenset(basenames)
        self._own = os.stat("/proc/self/ns/mnt").st_ino
        self._ids = count(FIRST_ID)
        self.missed = 0
        """Events with a name that could not be looked up, or led to a file that the call has not changed."""
        self.removed = 0
        """Events on names that were removed since, from a directory that does not match: symbolic links may have led on."""

    def look(self, batch: Batch, rows: NDArray[np.bool_]) -> tuple[Batch, NDArray[np.bool_]]:
        """``rows``: events of wire.LATER. Return the batch with the files found, and which of the events match."""
        moment, lookups = self._elsewhere.moment(), self._collect(batch, rows)
        wanted = list(dict.fromkeys(lookup for names in lookups.names for lookup in names.values()))[:LOOKS]
        with Roots(self._own, [task for task in lookups.tasks if task]) as roots:
            answers: dict[Lookup, Answer] = {}
            for at in range(0, len(wanted), AT_ONCE):
                answers |= self._answer(wanted[at : at + AT_ONCE], roots)
        self._elsewhere.remember(self._leading_elsewhere(lookups, answers), moment)
        return self._found(batch, rows, lookups, answers)

    def _collect(self, batch: Batch, rows: NDArray[np.bool_]) -> Lookups:
        events = batch.events
        columns = {name: events[name][rows] for name in ("file", "task", "call")}
        columns |= {name: second(batch, name)[rows] for name in ("target", "argument")}
        distinct, places = encode(pack(**columns))
        times = (events["time"] - durations(events))[rows].astype(np.int64) + batch.realtime
        first, last = np.full(len(distinct), np.iinfo(np.int64).max), np.zeros(len(distinct), np.int64)
        np.minimum.at(first, places, times)
        np.maximum.at(last, places, times)
        changed = [self._changed(row) for row in distinct]
        tasks = [batch.tasks.get(int(row["task"])) for row in distinct]
        names = [self._lookups_of(task, row, numbers) for task, row, numbers in zip(tasks, distinct, changed, strict=True)]
        return Lookups(places, first, last, tasks, names, [len(numbers) for numbers in changed])

    @staticmethod
    def _changed(row: np.void) -> dict[int, int]:
        """Return what an event has changed: CHANGE_* by the ids of its names."""
        first = {"file": wire.CHANGE_FILE, "entry": wire.CHANGE_ENTRY, "target": 0}[CHANGES[CALLS[int(row["call"])].op]]
        found = {int(row["file"]): first, int(row["target"]): wire.CHANGE_ENTRY}
        return {number: change for number, change in found.items() if number and change}

    def _lookups_of(self, task: Task | None, row: np.void, numbers: dict[int, int]) -> dict[int, Lookup]:
        found: dict[int, Lookup] = {}
        for number, change in numbers.items():
            given = self._definitions.given.get(number)
            start, root = (self._definitions.files.get(place) for place in (given.directory, given.root)) if given else (None, None)
            if task and given and start and root and start.mount_namespace == task.mount_namespace == root.mount_namespace:
                entry = None if change == wire.CHANGE_FILE else self._entry(given.name)
                name = given.name if entry is None else given.name.rstrip(b"/").rpartition(b"/")[0]
                follow = entry is None and follows(int(row["call"]), int(row["argument"]))
                name = b"/" if not name and given.name.startswith(b"/") else name
                place = task.mount_namespace, root.path, start.path, (start.inode, start.real_inode)
                found[number] = Lookup(*place, name, entry, follow)
        return found

    def _entry(self, name: bytes) -> bytes:
        last = last_component(name)
        return last if last in (b"", b".", b"..") or name_hash(last) in self._basenames else ANY

    def _answer(self, wanted: list[Lookup], roots: Roots) -> dict[Lookup, Answer]:
        opened = {lookup: found for lookup in wanted if (found := open_named(lookup, roots)) is not None}
        try:
            verdicts = self._judge(list(opened.values())) if opened else {}
        finally:
            for one in opened.values():
                os.close(one.fd)
        judged = {lookup: self._judged(lookup, verdicts[one.fd]) for lookup, one in opened.items() if one.fd in verdicts}
        dated = {lookup: (answer, newest_link(lookup, opened[lookup], roots)) for lookup, answer in judged.items()}
        return {lookup: answer._replace(linked=linked) for lookup, (answer, linked) in dated.items() if linked is not None}

    def _judged(self, lookup: Lookup, answer: Answer) -> Answer:
        """Return the answer for a file. The rules have no identity for one that no longer exists: its text decides."""
        foreign = lookup.namespace != self._own
        return answer._replace(wanted=answer.wanted or self._wanted.wants(File(0, answer.path, foreign=foreign)))

    def _leading_elsewhere(self, lookups: Lookups, answers: dict[Lookup, Answer]) -> set[int]:
        """Return the keys of names that the kernel need not emit again until something moves."""
        names = {number: lookup for names in lookups.names for number, lookup in names.items()}
        unwanted = ((number, q) for number, q in names.items() if q in answers and not answers[q].wanted and not answers[q].link)
        keys = (elsewhere_key(self._definitions.given[number], lookup.entry) for number, lookup in unwanted)
        return {key for key in keys if key is not None}

    def _found(
        self, batch: Batch, rows: NDArray[np.bool_], lookups: Lookups, answers: dict[Lookup, Answer]
    ) -> tuple[Batch, NDArray[np.bool_]]:
        wanted = np.zeros(len(lookups.names), bool)
        missed, removed = np.zeros(len(lookups.names), bool), np.zeros(len(lookups.names), bool)
        files: dict[int, int] = {}
        for at, names in enumerate(lookups.names):
            known = {number: answers[lookup] for number, lookup in names.items() if lookup in answers}
            sure = {number: answer for number, answer in known.items() if answer.confirms(int(lookups.first[at]), int(lookups.last[at]))}
            wanted[at] = any(answer.wanted for answer in sure.values())
            missed[at] = len(known) < lookups.expected[at] or any(
                answer.wanted or not answer.stood(int(lookups.first[at])) for answer in known.values()
            )
            removed[at] = any(answer.link and not answer.inode for answer in known.values())
            if wanted[at]:
                files |= {number: self._file(number, answer) for number, answer in sure.items() if number not in files}
        self.missed += int(np.count_nonzero((missed & ~wanted)[lookups.rows]))
        self.removed += int(np.count_nonzero((removed & ~missed & ~wanted)[lookups.rows]))
        kept = np.zeros(len(rows), bool)
        kept[rows] = wanted[lookups.rows]
        return _replaced(batch, kept, files), kept

    def _file(self, number: int, answer: Answer) -> int:
        """Return the id of the file in the place of a name."""
        found = {name: getattr(answer, name) for name in ("path", "inode", "device", "generation", "mode")}
        given = self._definitions.given[number].name
        if answer.path.endswith(ANY):
            found["path"] = answer.path[: -len(ANY)] + last_component(given)
        made = replace(self._definitions.files[number], id=next(self._ids), later=True, requested=given, deleted=False, **found)
        self._definitions.adopt(made)
        return made.id


def _replaced(batch: Batch, kept: NDArray[np.bool_], files: dict[int, int]) -> Batch:
    """Return the batch with files in the place of names."""
    events, ext = batch.events.copy(), batch.ext.copy()
    two = events["flags"] & wire.HAS_EXT != 0
    for column, rows in ((events["file"], kept), (ext["target"], kept[two])):
        column[rows] = [files.get(number, number) for number in column[rows].tolist()]
    return replace(batch, events=events, ext=ext)


def changes_later(calls: Iterable[int]) -> bool:
    """Return whether any of these calls changes something by name."""
    return any(CALLS[call].op in CHANGES and "name" in CALLS[call].shape for call in calls)
