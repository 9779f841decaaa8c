"""The cgroup hook set: cgroups that are made and removed, where a cgroup is a target.

Apart, because nothing of it is loaded otherwise. bpf/cgroup.bpf.c is its kernel half.
"""

from __future__ import annotations

from filetap.probes import Plan


def plan(cgroups: int) -> Plan:
    """``cgroups``: how many are targets."""
    return Plan("cgroup", raw=["cgroup_made", "cgroup_gone"] if cgroups else [])
