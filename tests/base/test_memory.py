"""Memory that is free: the least of what the machine, the control groups and `ulimit -v` leave."""

import resource
from pathlib import Path

from resgan.base.memory import Free, free_memory

MEMINFO = "MemTotal: 9000 kB\nMemFree: 100 kB\nMemAvailable: 5000 kB\nSwapTotal: 70 kB\nSwapFree: 60 kB\n"


def system(tmp_path: Path, files: dict[str, str]) -> dict[str, Path]:
    for name, text in {"proc/meminfo": MEMINFO, **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return {"proc": tmp_path / "proc", "cgroups": tmp_path / "cgroup"}


def test_of_a_machine_it_is_what_is_available_and_the_swap(tmp_path):
    assert free_memory(**system(tmp_path, {})) == Free(1024 * 5060, "this machine")


def test_a_control_group_and_those_around_it_may_leave_less(tmp_path):
    files = {
        "proc/self/cgroup": "0::/batch/job7\n",
        "cgroup/batch/job7/memory.max": "max\n",
        "cgroup/batch/job7/memory.current": "10\n",
        "cgroup/batch/memory.max": "2000000\n",
        "cgroup/batch/memory.current": "1500000\n",
        "cgroup/batch/memory.stat": "anon 1\ninactive_file 250000\n",
    }
    assert free_memory(**system(tmp_path, files)) == Free(750_000, "this container")


def test_so_may_one_of_the_first_version(tmp_path):
    files = {
        # Seen from inside, the path is not there.
        "proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n",
        "cgroup/memory/memory.limit_in_bytes": "3000000\n",
        "cgroup/memory/memory.usage_in_bytes": "1000000\n",
        "cgroup/memory/memory.stat": "inactive_file 7\ntotal_inactive_file 100\n",
    }
    assert free_memory(**system(tmp_path, files)) == Free(2_000_100, "this container")


def test_a_limit_on_address_space_counts_from_what_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (4_000_000, 4_000_000))
    given = system(tmp_path, {"proc/self/statm": "500 20 3 4 5 6 7\n"})
    free = free_memory(**given)
    assert free == Free(4_000_000 - 500 * resource.getpagesize(), "this process (ulimit -v)")


def test_of_an_unknown_system_it_is_not_known(tmp_path, monkeypatch):
    monkeypatch.setattr("os.sysconf_names", {})
    assert free_memory(proc=tmp_path / "none", cgroups=tmp_path / "none") is None
