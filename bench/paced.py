"""``python bench/paced.py DIRECTORY SECONDS RATE``: accesses at an even pace, over many files that come and go.

Separate from the C workloads, which run at full speed. Prints its counts in the form of outcome.h. It imports nothing of the
project, because it is the traced program.
"""

from __future__ import annotations

import json
import os
import sys
import time

TICK = 0.01
KEPT = 2000
AGAIN = 25
"""How often a file is used before others replace it: at 20,000 events a second, 12,000 files are new each minute, and every
table of a tracer is as full as it gets long before its memory is measured."""


def main() -> None:
    directory, seconds, rate = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    rounds = int(rate * TICK) // 4
    began, number = time.monotonic(), 0
    for tick in range(int(seconds / TICK)):
        for _ in range(rounds):
            file = f"{directory}/{number % KEPT + number // (AGAIN * KEPT) * KEPT}"
            fd = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
            os.pwrite(fd, b"x" * (number % 64 + 1), number % 4096)
            os.pread(fd, 64, 0)
            os.close(fd)
            number += 1
        time.sleep(max(0.0, began + (tick + 1) * TICK - time.monotonic()))
    ns = int((time.monotonic() - began) * 1e9)
    ops = {"open": number, "write": number, "read": number, "close": number}
    print(json.dumps({"calls": number, "bytes": 0, "ns": ns, "ops": ops}), flush=True)


main()
