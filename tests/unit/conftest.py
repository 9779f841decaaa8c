"""Hypothesis without chance or clock, so that a result depends on the code alone: the same examples each time.

Separate from tests/conftest.py, because the machines of vm/ have no Hypothesis. New examples are searched for by
``make test ARGS="tests/unit --hypothesis-profile=search"``.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from filetap.capture.definitions import Definitions
from tests.unit.definition_records import file_record

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", UNHURRIED)
settings.register_profile("steady", UNHURRIED, derandomize=True)
if settings.get_current_profile_name() != "search":
    settings.load_profile("steady")


@pytest.fixture
def known() -> Definitions:
    """Return definitions with three directories: /, /home/x and /jail."""
    made = Definitions(100, 100)
    made.apply(file_record(1, []))
    made.apply(file_record(2, [b"home", b"x"]))
    made.apply(file_record(3, [b"jail"]))
    return made
