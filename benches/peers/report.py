"""Printed output: the machine and the tables."""

import os
import pathlib
import platform

# Flags in /proc/cpuinfo, best instruction set first.
INSTRUCTION_SETS = {
    "amx_tile": "AMX",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
    "avx": "AVX",
    "sse4_2": "SSE4.2",
    "sve": "SVE",
    "asimd": "NEON",
}
TIMES = ["threads", "shape", "engine", "median ms", "min ms", "spread ms", "ratio"]
LOADS = ["threads", "engine", "load ms", "loaded MiB", "peak MiB", "disk MiB"]
WORDS = {"shape", "engine"}


def cpu():
    """Returns the name of the CPU and its best instruction set."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine(), "unknown"
    fields = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    best = next((name for flag, name in INSTRUCTION_SETS.items() if flag in flags), "unknown")
    return fields.get("model name", platform.machine()), best


def print_machine():
    name, best = cpu()
    print(f"CPU: {name}, {os.cpu_count()} cores, best instruction set {best}")
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.5:
        print(f"warning: load is {os.getloadavg()[0]:.1f}; benchmarks need an idle machine")


def print_times(figures):
    versions = {figure.engine: figure.version for figure in figures}
    print("\n" + ", ".join(f"{engine} {version}" for engine, version in versions.items()))
    print(
        "ratio (above 1, distilbert is faster): for distilbert, the best peer's median ÷ its own"
        " (f16: the best f32 peer's); for a peer, its median ÷ distilbert's in the same precision."
        " * best peer\n"
    )
    print_table(TIMES, map(times_row, figures))


def times_row(figure):
    times = [f"{value:.2f}" for value in (figure.median_ms, figure.min_ms, figure.iqr_ms)]
    engine = f"{figure.engine} {figure.precision}" + (" *" if figure.is_best_peer else "")
    ratio = f"{figure.ratio:.2f}" if figure.ratio else ""
    return [str(figure.threads), figure.shape, engine, *times, ratio]


def print_loads(loads):
    print("\nTime from opening the model to the first logits, memory after loading and at its peak, and size on disk\n")
    print_table(LOADS, map(load_row, loads))


def load_row(load):
    row = load.as_row()
    sizes = [row[name] for name in ("loaded_mib", "peak_mib", "disk_mib")]
    cells = [f"{size:.0f}" if size else "?" for size in sizes]
    return [str(load.threads), f"{load.engine} {load.precision}", f"{row['median_ms']:.0f}", *cells]


def print_table(headings, rows):
    rows = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = zip(row, widths, headings)
        print("  ".join(align(cell, width, heading) for cell, width, heading in cells).rstrip())


def align(cell, width, heading):
    return cell.ljust(width) if heading in WORDS else cell.rjust(width)
