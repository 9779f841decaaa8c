"""What every command that traces shares: where its events go, how it is stopped, the run from attaching to the account.

Apart from trace.py and watch.py, which say what is traced. Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING, Final, TypeVar

import click

from filetap.cli import ready, record
from filetap.cli.files import OutputFile
from filetap.cli.record import RECORD_OPTIONS, SUFFIX, Recording
from filetap.cli.say import say, tell
from filetap.core.errors import FiletapError, UsageError

if TYPE_CHECKING:
    from filetap.capture.session import Session
    from filetap.capture.source import Options
    from filetap.capture.statistics import Account
    from filetap.core.batch import Batch, Sink

OTHER_COLUMNS: Final = 76
"""Of the table, before the path."""
LEAST_ANCESTORS: Final = 28
Decorated = TypeVar("Decorated", bound=Callable[..., object])

event_option = click.option(
    "-e",
    "--event",
    "events",
    multiple=True,
    metavar="OP",
    help="An operation (read), a group (io, metadata, memory, namespace, ..., all) or a call (pread64). Repeatable.",
)

OUTPUT_OPTIONS = (
    click.option(
        "-f",
        "--format",
        "form",
        type=click.Choice(["table", "json", "none"]),
        help="The form of the events.  [default: table; with -o NAME.tap: none]",
    ),
    click.option("-o", "--output", metavar="FILE|NAME.tap", help="Write the events to FILE, or record a trace: the folder NAME.tap."),
    click.option("--force", is_flag=True, help="Overwrite the FILE of -o, or replace the trace."),
    *RECORD_OPTIONS,
    click.option(
        "--pending", is_flag=True, help="List calls that have not returned, at the end and on SIGUSR2, where no events are printed too."
    ),
    click.option("--account", metavar="FILE", help="Write the account of the run to FILE as JSON."),
    click.option("--duration", type=float, metavar="SECONDS", help="End the tracing, never a command, after so long."),
)


HOOK_OPTIONS = (
    click.option(
        "--level",
        type=click.Choice(["syscall", "vfs", "auto"]),
        default="auto",
        show_default=True,
        help="Events of system calls, or of the kernel's hooks below them (vfs). auto: of calls, and hooks say what names led to.",
    ),
    click.option("--best-effort", is_flag=True, help="Go on without the hooks that do not attach here."),
    click.option("--ring-size", default="128M", show_default=True, metavar="SIZE", help="Memory for events under way, over all CPUs."),
)


PROCESS_OPTIONS = (
    click.option("--args", "arguments", is_flag=True, help="Record the arguments of processes, and of those that started them."),
    click.option(
        "--ancestors",
        is_flag=True,
        help="Show the processes that each one descends from. All forks of the machine are followed, for parents that have ended.",
    ),
)


def process_options(command: Decorated) -> Decorated:
    """What is known of processes, in this order."""
    return with_options(PROCESS_OPTIONS, command)


def output_options(command: Decorated) -> Decorated:
    """What becomes of the events, in this order."""
    return with_options(OUTPUT_OPTIONS, command)


def hook_options(command: Decorated) -> Decorated:
    """How the kernel is asked, in this order, and who hears when it has been."""
    return with_options((*HOOK_OPTIONS, ready.ready_option), command)


def with_options(options: tuple[Callable[[Decorated], Decorated], ...], command: Decorated) -> Decorated:
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True, kw_only=True)
class Output(record.Words):
    """Words of the command line that are the same for all: what becomes of the events, and how the kernel is asked."""

    form: str | None
    output: str | None
    force: bool
    pending: bool
    account: str | None
    duration: float | None
    level: str
    best_effort: bool
    ring_size: str
    arguments: bool
    ancestors: bool
    ready_fd: int | None

    @property
    def records(self) -> bool:
        """Is a trace to be written?"""
        return bool(self.output) and str(self.output).rstrip("/").endswith(SUFFIX)

    @property
    def streams(self) -> bool:
        """Are events to be written as they come?"""
        return not self.records or self.form in ("table", "json")

    @property
    def prints(self) -> bool:
        """Are events printed, as lines?"""
        return self.streams and self.shown != "none"

    def check(self) -> None:
        """Mistakes that need no kernel to be seen."""
        if self.ready_fd is not None:
            ready.check_ready_fd(self.ready_fd)
        self.check_recording(self.records)
        if self.duration is not None and not 0 < self.duration < float("inf"):
            raise UsageError(f"--duration {self.duration:g}: give a number of seconds above 0")

    @property
    def shown(self) -> str:
        """The form of the events, given or not."""
        return self.form or "table"

    def scope(self) -> str:
        """What is traced, in a few words."""
        raise NotImplementedError

    def open_file(self) -> OutputFile | None:
        """The FILE of -o."""
        return OutputFile(self.output, self.force) if self.output and not self.records else None

    def open_account(self) -> OutputFile | None:
        """The file for ``--account``, opened before anything is traced."""
        return OutputFile(self.account, force=True) if self.account else None

    def recording(self) -> Recording | None:
        """Begun: the folder is there."""
        if not self.records:
            return None
        words = {name: value for name, value in asdict(self).items() if name not in ("output", "force", "account", "ready_fd")}
        return Recording(str(self.output).rstrip("/"), self.force, self, words)


def standard_stream(name: str) -> IO[bytes]:
    """Unbuffered. ``name``: "output" or "error"."""
    stream = sys.stderr if name == "error" else sys.stdout
    if stream is None:
        raise FiletapError(f"standard {name} is closed: give -o FILE")
    return open(stream.fileno(), "wb", buffering=0, closefd=False)


def make_sink(form: str, stream: IO[bytes], ancestors: bool = False) -> Sink:
    """The sink for ``-f``. ``ancestors``: they are to be shown."""
    if form == "none":
        from filetap.sinks.count import CountSink

        return CountSink()
    if form == "json":
        from filetap.sinks.ndjson import NdjsonSink

        return NdjsonSink(stream, ancestors)
    from filetap.sinks.table import TableSink

    colour = stream.isatty() and "NO_COLOR" not in os.environ
    return TableSink(stream, colour, width_of_ancestors(stream) if ancestors else None)


def width_of_ancestors(stream: IO[bytes]) -> int:
    """On a terminal half of what other columns leave, for the path should find room too; elsewhere nothing is cut (0)."""
    if not stream.isatty():
        return 0
    return max(LEAST_ANCESTORS, (os.get_terminal_size(stream.fileno()).columns - OTHER_COLUMNS) // 2)


class Stop:
    """SIGINT and SIGTERM, and SIGUSR2, which asks for the calls under way: heard from before a command is forked. Python's own way, an
    exception, is lost in a callback."""

    def __init__(self) -> None:
        self.number = 0
        """The last one; 0: none yet."""
        self.also: Callable[[int], None] = lambda number: None
        self._asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)
        signal.signal(signal.SIGUSR2, self._ask)

    def asked(self) -> bool:
        """Has somebody asked for the calls under way since the last time?"""
        asked, self._asked = self._asked, False
        return asked

    def _ask(self, _number: int, _frame: object) -> None:
        self._asked = True

    def _note(self, number: int, _frame: object) -> None:
        self.number = number
        self.also(number)


@contextmanager
def undisturbed() -> Iterator[None]:
    """SIGUSR2 waits: a program is not loaded for a thread with signals to take (kernel/bpf/verifier.c)."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR2,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGUSR2,))


class Run:
    """One run of a command: attached when made. A command that has more to mind overrides the methods that say so."""

    def __init__(self, given: Output, options: Options, stop: Stop, started: float, standard: str = "output") -> None:
        self._given, self._stop = given, stop
        self._failure: FiletapError | None = None
        self._account: OutputFile | None = None
        self._recording: Recording | None = None
        self._file: OutputFile | None = None
        try:
            self._account = given.open_account()
            self._recording = given.recording()
            self._file = given.open_file()
            self._sink = self._make_sink(standard)
            self.session = self._begin(options, started)
        except BaseException:
            self._discard()
            raise
        for file in self._files():
            file.empty()
        if self._recording:
            self._recording.begin(self.session)

    def _discard(self) -> None:
        """Nothing was traced: what was made for it would be in the way of the next try."""
        if self._recording:
            self._recording.discard()
        for file in self._files():
            file.discard()

    def _files(self) -> list[OutputFile]:
        return [file for file in (self._file, self._account) if file]

    def _make_sink(self, standard: str) -> Sink:
        stream = (self._file or standard_stream(standard)) if self._given.streams else None
        streams = [make_sink(self._given.shown, stream, self._given.ancestors)] if stream else []
        if not self._recording:
            return streams[0]
        from filetap.sinks.tee import Tee

        return Tee(self._recording.sink, streams)

    def make_session(self, options: Options, started: float) -> Session:
        from filetap.capture.session import Session

        return Session(options, self._sink, started)

    def _begin(self, options: Options, started: float) -> Session:
        session = self.make_session(options, started)
        wakeup, signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
        session.wake_by(wakeup)
        self._stop.also = self.on_signal
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGUSR2,))  # in this thread alone
        return session

    def to_the_end(self) -> int:
        """Trace, settle the account, and return the exit status."""
        from filetap.capture.session import OutputError

        try:
            self._trace()
        except OutputError:
            pass  # session.failure keeps it
        except FiletapError:
            self._seal(self._finish())
            self.on_detached()
            raise
        self.on_end()
        account = self._finish()
        self._failure = self.session.failure
        self._seal(account)
        self._say(account)
        self.on_detached()
        status = self.status()
        if self._failure:
            raise self._failure
        return status

    def _trace(self) -> None:
        try:
            if not self._stop.number:
                ready.announce(self.ready_line(), self._given.ready_fd)
            self.on_attached()
            self._pump()
        finally:
            if self._recording:
                self._recording.stop()
            ready.stopping()

    def _finish(self) -> Account:
        with undisturbed():
            return self.session.finish()

    def _seal(self, account: Account) -> None:
        """Nothing is held back any more; a recording is whole."""
        with suppress(OSError):
            self._sink.close()
        if self._recording:
            try:
                self._recording.end(account)
            except FiletapError as error:
                self._failure = self._failure or error

    def _pump(self) -> None:
        end = time.monotonic() + self._given.duration if self._given.duration else float("inf")
        while not self._stop.number and (left := end - time.monotonic()) > 0 and not self.over():
            self.session.pump(min(left, 1.0))
            for line in self.session.source.cgroup_news():
                say(line)
            self.list_if_asked()
            if self._recording:
                with undisturbed():
                    self._recording.mind(self.has_failed())

    def list_if_asked(self) -> None:
        """The calls under way: with the events, and where none are printed on standard error."""
        if self._stop.asked():
            with undisturbed():
                found = self.session.list_pending()
            if not self._given.prints:
                self.show_pending(found)

    def show_pending(self, found: Batch) -> None:
        """As a table, on standard error."""
        if not len(found.events):
            say("no call is under way")
            return
        with suppress(OSError):
            sink = make_sink("table", standard_stream("error"))
            sink.pending(found)
            sink.close()

    def _say(self, account: Account) -> None:
        from filetap.report import account as report

        self.before_account()
        if self._given.pending and (not self._given.prints or not account.pending):
            self.show_pending(self.session.pending)
        tell(report.as_text(account))
        if self._account:
            try:
                with self._account as stream:
                    stream.write(report.as_json(account).encode())
            except OSError as error:
                self._failure = self._failure or FiletapError(f"{self._given.account}: {error.strerror}")

    def on_signal(self, _number: int) -> None:
        """Comes at any moment."""
        self._sink.hurry = True

    def ready_line(self) -> str:
        """Said once everything is attached; "": nothing is."""
        return f"tracing {self._given.scope()}; attached in {self.session.attached:.1f} s"

    def on_attached(self) -> None:
        """Everything counts from now on."""

    def over(self) -> bool:
        """Have the processes ended that this run is about?"""
        return False

    def has_failed(self) -> bool:
        """Has the command that is traced ended with a failure?"""
        return False

    def on_end(self) -> None:
        """Nothing will count any more."""

    def before_account(self) -> None:
        """Everything has been handed over; what is to be said of it beside the account."""

    def on_detached(self) -> None:
        """The account is settled."""

    def status(self) -> int:
        """The exit status of a run without failures."""
        return 0
