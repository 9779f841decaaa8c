"""How long a test waits for an expected condition: longer in a machine of vm/, where everything is slower.

Separate, because it is the only thing that tests know about the machine's speed. Counts do not depend on it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable


def scaled(seconds: float) -> float:
    return seconds * float(os.environ.get("FILETAP_TEST_PATIENCE", "1"))


def wait_for(condition: Callable[[], object], limit: float = 60) -> None:
    end = time.monotonic() + scaled(limit)
    while not condition():
        assert time.monotonic() < end, "the condition did not become true in time"
        time.sleep(0.002)
