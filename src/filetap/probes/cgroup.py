"""The cgroup hook set: cgroups that are created and removed, if a cgroup is a target.

Separate, because it is not loaded otherwise. bpf/cgroup.bpf.c is its kernel half.
"""

from __future__ import annotations

from filetap.probes import Plan


def plan(cgroups: int) -> Plan:
    """Return the plan. ``cgroups``: the number of target cgroups."""
    return Plan("cgroup", raw=["cgroup_made", "cgroup_gone"] if cgroups else [])
