"""What is printed: the machine, and the table."""

import itertools
import os
import pathlib
import platform

# Best first; what a processor lists in /proc/cpuinfo.
INSTRUCTION_SETS = {
    "amx_tile": "AMX",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
    "avx": "AVX",
    "sse4_2": "SSE4.2",
    "sve": "SVE",
    "asimd": "NEON",
}
HEADINGS = ["threads", "shape", "engine", "median ms", "min ms", "spread ms", "ratio", "by round"]


def cpu():
    """The processor's name and its best instruction set."""
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
        print(f"warning: load is {os.getloadavg()[0]:.1f}; figures need an idle machine")


def print_table(figures):
    versions = {figure.engine: figure.version for figure in figures}
    print("\n" + ", ".join(f"{engine} {version}" for engine, version in versions.items()))
    print("ratio: median ÷ distilbert's; by round: median of each round's ratio; * best other engine\n")
    rows = [HEADINGS]
    for _, group in itertools.groupby(figures, key=lambda figure: (figure.threads, figure.shape)):
        group = list(group)
        best = min((f.median_ms for f in group if f.ratio), default=None)
        rows += [table_row(figure, figure.ratio and figure.median_ms == best) for figure in group]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(align(cell, width, i) for i, (cell, width) in enumerate(zip(row, widths))).rstrip())


def align(cell, width, column):
    is_text = HEADINGS[column] in ("shape", "engine")
    return cell.ljust(width) if is_text else cell.rjust(width)


def table_row(figure, is_best):
    times = [f"{value:.2f}" for value in (figure.median_ms, figure.min_ms, figure.iqr_ms)]
    ratios = [f"{value:.2f}" if value else "" for value in (figure.ratio, figure.ratio_by_round)]
    engine = f"{figure.engine} {figure.precision}" + (" *" if is_best else "")
    return [str(figure.threads), figure.shape, engine, *times, *ratios]
