"""filetap from Python: recorded traces as Arrow tables, SQL and summaries.

    import filetap

    with filetap.open("NAME.tap") as trace:
        trace.query("SELECT path, count(*) FROM events GROUP BY path")
        trace.summary(by="process", top=5)

docs/querying.md has the tables and their columns. Nothing heavy is imported before a trace is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from filetap.core.errors import FiletapError

if TYPE_CHECKING:
    from os import PathLike

    from filetap.analysis.recording import Recording

__all__ = ["FiletapError", "open"]


def open(*folders: str | PathLike[str]) -> Recording:  # noqa: A001 - the public name is filetap.open
    """Open one recording, or several as one. Raise FiletapError, with a line that gives the reason, if that is not possible."""
    from filetap.analysis.recording import Recording

    return Recording(folders)
