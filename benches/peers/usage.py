"""CPU time and memory of processes and their descendants, from /proc."""

import contextlib
import os
import pathlib

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def fields(stat):
    """Returns the fields of a `stat` file after the program's name, which may contain spaces."""
    return stat.read_text().rpartition(")")[2].split()


def cpu_seconds(pid):
    """Returns the CPU time of all threads of a process so far; 0 if /proc doesn't have it."""
    try:
        found = fields(pathlib.Path(f"/proc/{pid}/stat"))
    except OSError:
        return 0.0
    # User and system time.
    return (int(found[11]) + int(found[12])) / TICKS


def thread_seconds(pid, prefix):
    """Returns the CPU time so far of the living threads whose name starts so."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            if (task / "comm").read_text().startswith(prefix):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def mib(pid, field):
    """Returns a size in `status`, such as VmHWM, in MiB; None if /proc doesn't have it."""
    return size(pathlib.Path(f"/proc/{pid}/status"), field)


def size(file, field):
    with contextlib.suppress(OSError):
        for line in file.read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
    return None


def tree(pid):
    """Returns a process and all its descendants."""
    children = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            children.setdefault(int(fields(stat)[1]), []).append(int(stat.parent.name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def tree_cpu_seconds(pid):
    return sum(map(cpu_seconds, tree(pid)))


def tree_mib(pid):
    """Returns the resident memory of a tree; pages that several processes share count once."""
    sizes = (size(pathlib.Path(f"/proc/{member}/smaps_rollup"), "Pss") for member in tree(pid))
    return sum(found or 0 for found in sizes)
