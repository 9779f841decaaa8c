"""How long a test waits for what must happen: in a machine of vm/, where all takes many times as long, longer.

Apart, because it is the only thing that tests know about the speed of where they run. What is counted stays the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable


def scaled(seconds: float) -> float:
    return seconds * float(os.environ.get("FILETAP_TEST_PATIENCE", "1"))


def wait_for(condition: Callable[[], object], limit: float = 20) -> None:
    end = time.monotonic() + scaled(limit)
    while not condition():
        assert time.monotonic() < end, "this should have happened by now"
        time.sleep(0.002)
