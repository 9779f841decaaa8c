"""Which files does a program look for in vain, and what does it read again and again? A worked example of filetap's API.

sudo filetap trace -e all -o build.tap -- make
python3 examples/cold_files.py build.tap
"""

from __future__ import annotations

import sys

import filetap

IN_VAIN = """
    SELECT directory(path) AS directory, count(*) AS misses, sum(ms(duration)) AS ms
    FROM events WHERE error = 'ENOENT' GROUP BY 1 ORDER BY misses DESC LIMIT 5
"""
AGAIN = """
    SELECT path, count(DISTINCT pid) AS processes, sum(bytes)::BIGINT AS bytes
    FROM events WHERE op = 'read' AND type = 'file' GROUP BY path HAVING count(DISTINCT pid) > 1 ORDER BY bytes DESC LIMIT 5
"""


def main(folder: str) -> None:
    with filetap.open(folder) as trace:
        (metadata,) = trace.metadata
        print(f"{' '.join(metadata.command)}: {trace.events.num_rows} events, {trace.files.num_rows} files")

        print("\nlooked for in vain, by directory:")
        for row in trace.query(IN_VAIN).to_pylist():
            print(f"{row['misses']:8} {row['ms']:8.2f} ms {row['directory']}")

        print("\nread by more than one process:")
        for row in trace.query(AGAIN).to_pylist():
            print(f"{row['processes']:8} {row['bytes']:11} {row['path']}")

        print("\nwhere the time went:")
        for row in trace.summary(by="op", top=5, sort="total").drop_columns(["first", "last"]).to_pylist():
            print(f"{(row['total'] or 0) / 1e6:8.2f} ms {row['count']:8} {row['op'] or 'others'}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} NAME.tap")
    try:
        main(sys.argv[1])
    except filetap.FiletapError as error:
        sys.exit(f"{error}")
