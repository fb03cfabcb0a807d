"""Printed tables: each figure, CPU time and latency relative to this server, and memory."""

import processor
import report
import usage
from systems import OURS

FIGURES = ["load", "server", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "CPU s/1000", "failed"]
# Policy that the others and the peers are compared with.
DEFAULT = "batches"


def memory(servers):
    """Returns the memory of each server in MiB."""
    return {server.system.label: usage.tree_mib(server.process.pid) for server in servers}


def print_all(figures, memory, checked):
    figures = list(figures.values())
    print(f"\n{processor.description()}\n")
    report.print_table(FIGURES, map(row, figures))
    print(f"\nCPU time a request ÷ that of {OURS} with {DEFAULT} in the same precision\n")
    print_ratios(figures, lambda figure: figure.cpu_ms)
    print(f"\np99 ÷ that of {OURS} with {DEFAULT} in the same precision\n")
    print_ratios(figures, lambda figure: figure.milliseconds(0.99))
    print(f"\nMemory after the load; CPU microseconds a request of {OURS} beside its workers, tokenizing included\n")
    loads = list(dict.fromkeys(figure.load for figure in figures))
    report.print_table(["server", "MiB", *loads], [costs(label, memory[label], figures, loads) for label in memory])
    if checked:
        print("\nAnswers: largest difference of a score, share of texts with the same label\n")
        report.print_table(["server", "difference", "same label %"], checked)


def row(figure):
    latencies = [f"{figure.milliseconds(share):.2f}" for share in (0.5, 0.99, 0.999)]
    return [figure.load, figure.label, f"{figure.rate:.0f}", *latencies, f"{figure.cpu_ms:.3f}", str(figure.failures)]


def print_ratios(figures, value):
    loads = list(dict.fromkeys(figure.load for figure in figures))
    cells = {(figure.label, figure.load): value(figure) for figure in figures}
    rows = []
    for label in dict.fromkeys(figure.label for figure in figures):
        ours = f"{OURS} {precision(label)} {DEFAULT}"
        ratios = [cells[label, load] / cells[ours, load] if (ours, load) in cells else None for load in loads]
        rows.append([label, *("" if ratio is None else f"{ratio:.2f}" for ratio in ratios)])
    report.print_table(["server", *loads], rows)


def precision(label):
    return next(part for part in label.split() if part in ("f32", "int8"))


def costs(label, mib, figures, loads):
    found = {figure.load: figure for figure in figures if figure.label == label}
    seconds = [(found[load].http_seconds, found[load].requests) for load in loads]
    return [label, f"{mib:.0f}", *("" if spent is None else f"{spent / count * 1e6:.0f}" for spent, count in seconds)]
