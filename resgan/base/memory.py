"""Memory that is free: of this machine, as far as the limits of this process allow, or of its GPU."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Free:
    """Bytes that can still be had, and where they are, in words."""

    count: int
    where: str


def free_memory(*, proc: Path = PROC, cgroups: Path = CGROUPS) -> Free | None:
    """Return the least of what the machine, the control groups and `ulimit -v` leave; None where it is not known."""
    found = [*of_machine(proc), *of_control_groups(proc, cgroups), *of_process(proc)]
    return min(found, key=lambda free: free.count, default=None)


def free_gpu_memory() -> Free:
    """Return what the current CUDA device has left."""
    import torch  # takes a second, and most of this module does without

    return Free(torch.cuda.mem_get_info()[0], "the GPU")


def of_machine(proc: Path) -> Iterator[Free]:
    if (text := read(proc / "meminfo")) is not None:
        kilobytes = {name: int(count) for name, count in re.findall(r"^(\w+):\s+(\d+) kB$", text, flags=re.M)}
        if "MemAvailable" in kilobytes:
            yield Free(1024 * (kilobytes["MemAvailable"] + kilobytes.get("SwapFree", 0)), "this machine")
    elif "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):  # macOS, which has no count of what is free
        yield Free(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "this machine")


def of_control_groups(proc: Path, cgroups: Path) -> Iterator[Free]:
    """Yield what each control group leaves that this process is in, as containers and batch systems make them."""
    for line in (read(proc / "self/cgroup") or "").splitlines():
        _, kinds, path = line.split(":", 2)
        if not kinds:
            root, names = cgroups, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in kinds.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            root = cgroups / "memory"
        else:
            continue
        limit, used, cached = names
        inside = root / path.strip("/")
        for group in [inside, *inside.parents]:
            if (most := number(group / limit)) is not None and (now := number(group / used)) is not None:
                reclaimable = re.search(rf"^{cached} (\d+)$", read(group / "memory.stat") or "", flags=re.M)
                yield Free(max(0, most - now + int(reclaimable[1] if reclaimable else 0)), "this container")
            if group == root:
                break


def of_process(proc: Path) -> Iterator[Free]:
    """Yield what `ulimit -v` leaves, if it is set."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and (text := read(proc / "self/statm")) is not None:
        yield Free(max(0, limit - int(text.split()[0]) * os.sysconf("SC_PAGE_SIZE")), "this process (ulimit -v)")


def read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def number(path: Path) -> int | None:
    """Read a file that holds one number; None for another one, such as `max`."""
    text = (read(path) or "").strip()
    return int(text) if text.isdecimal() else None
