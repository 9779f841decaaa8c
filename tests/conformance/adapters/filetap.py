"""filetap: NDJSON of every operation and every type of file, and statistics in which nothing is lost or aggregated.

Separate, like each tracer. It reads only what docs/events.md documents.
"""

from __future__ import annotations

import json
import sys
from calendar import timegm
from pathlib import Path
from time import strptime
from typing import Any, Final

from tests.conformance.compare import Event, Manner
from tests.conformance.runner import Tracer, TracerError


def installed() -> list[str]:
    """Return the command installed with this Python."""
    command = Path(sys.executable).parent / "filetap"
    return [str(command)] if command.exists() else [sys.executable, "-c", "from filetap.cli.main import main; main()"]


def _command(folder: Path, driver: list[str], ops: set[str]) -> list[str]:
    wanted = ["--level", "syscall", "-e", "all", "--type", "all"]
    wanted += ["-f", "json", "-o", str(folder / "events"), "--stats", str(folder / "account")]
    return [*installed(), "trace", *wanted, "--", *driver]


def _read(folder: Path) -> list[Event]:
    incomplete = {op: row for op, row in json.loads((folder / "account").read_text())["ops"].items() if row["seen"] != row["delivered"]}
    if incomplete:
        raise TracerError(f"filetap: not every event was delivered: {incomplete}")
    return [flat(json.loads(line)) for line in (folder / "events").read_bytes().split(b"\n") if line]


def flat(line: dict[str, Any]) -> Event:
    """Merge ``file`` and ``io`` into one mapping, as cases write them."""
    reported: Event = {"op": line["event"]["action"], "call": line["event"].get("call"), "time": nanoseconds(line["@timestamp"])}
    reported |= {"pid": line["process"]["pid"], "tid": line["thread"]["id"]}
    return reported | dict(line.get("file", {})) | dict(line.get("io", {}))


def nanoseconds(stamp: str) -> int:
    """Return 2026-11-20T23:00:00.123456789Z as nanoseconds since the epoch."""
    seconds, fraction = stamp.removesuffix("Z").split(".")
    return timegm(strptime(seconds, "%Y-%m-%dT%H:%M:%S")) * 1_000_000_000 + int(fraction)


TRACER: Final = Tracer("filetap", _command, _read, "real", Manner())
