"""Printed output: the machine, and tables in Markdown."""

import os
import statistics

import processor
from engines import OURS
from figures import comparisons

TIMES = ["threads", "shape", "engine", "median ms", "min ms", "spread ms", "ratio"]
LOADS = ["threads", "engine", "load ms", "peak MiB", "disk MiB"]
# Columns of text; the others are aligned to the right.
WORDS = {"shape", "engine", "class", "best peers", "server", "load"}
# Classes of peers as the tables call them.
NAMES = {
    "int8": "int8, activations quantized at run time",
    "int8-calibrated": "int8, calibrated",
}


def print_machine():
    print(f"CPU: {processor.description()}")
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.5:
        print(f"warning: load is {os.getloadavg()[0]:.1f}; benchmarks need an idle machine")


def print_all(figures, loads):
    """Prints every table: all times, the times by class, the classes, errors and loads."""
    versions = {figure.engine: figure.version for figure in figures}
    print("\n" + ", ".join(f"{engine} {version}" for engine, version in versions.items()))
    print(f"\nAll times. Ratio: median of a peer ÷ {OURS}'s in the same class; above 1, {OURS} is faster.\n")
    print_table(TIMES, map(times_row, figures))
    print_classes(figures)
    print_summary(figures)
    print_errors(figures)
    if loads:
        print("\nTime from opening the model to the first logits, peak memory until then, size on disk\n")
        print_table(LOADS, map(load_row, loads))


def times_row(figure):
    times = [f"{value:.2f}" for value in (figure.median_ms, figure.min_ms, figure.iqr_ms)]
    ratio = f"{figure.ratio:.2f}" if figure.ratio else ""
    return [str(figure.threads), figure.shape, figure.label, *times, ratio]


def print_classes(figures):
    """Prints a table of times per class, with a column per engine."""
    counts = list(dict.fromkeys(figure.threads for figure in figures))
    print(f"\n{processor.description()}.")
    print(f"Medians in ms with {threads_text(counts)}. {spread(figures)}")
    for group in (["f32", "f16", "bf16"], ["int8", "int8-calibrated", "cascade"]):
        members = [figure for figure in figures if figure.precision_class in group]
        if members:
            print()
            print_class(members, figures)


def print_class(members, figures):
    labels = sorted({f.label: f for f in members}.values(), key=lambda f: f.engine != OURS)
    labels = [figure.label for figure in labels]
    found = [c for c in comparisons(figures) if c.best_peer in members]
    pairs = list(dict.fromkeys((c.variant, c.peer_class) for c in found))
    headings = [f"best {peer_class} peer ÷ {variant}" for variant, peer_class in pairs]
    rows = []
    for shape in dict.fromkeys(figure.shape for figure in members):
        times = [
            " / ".join(duration(f.median_ms) for f in members if (f.shape, f.label) == (shape, label))
            for label in labels
        ]
        rows.append([shape, *times, *(ratios(found, pair, shape) for pair in pairs)])
    print_table(["shape", *labels, *headings], rows)


def print_summary(figures):
    """Prints a line per class: the ratios by shape."""
    found = comparisons(figures)
    if not found:
        return
    shapes = list(dict.fromkeys(c.shape for c in found))
    counts = list(dict.fromkeys(c.threads for c in found))
    print(f"\nBest peer of a class ÷ {OURS}, {processor.NAME}, with {threads_text(counts)}; above 1, {OURS} is faster\n")
    rows = []
    for pair in dict.fromkeys((c.variant, c.peer_class) for c in found):
        variant, peer_class = pair
        best = sorted({c.best_peer.label for c in found if (c.variant, c.peer_class) == pair})
        name = NAMES.get(peer_class, peer_class) + ("" if variant == peer_class.split("-")[0] else f", against our {variant}")
        rows.append([name, ", ".join(best), *(ratios(found, pair, shape) for shape in shapes)])
    print_table(["class", "best peers", *shapes], rows)


def print_errors(figures):
    """Prints how far the logits of the timed texts are from Transformers' in f32."""
    print("\nLogit errors on the timed texts against Transformers in f32, mean / largest\n")
    shapes = list(dict.fromkeys(figure.shape for figure in figures))
    # They differ between thread counts in the last bits at most.
    first = {}
    for figure in figures:
        first.setdefault((figure.label, figure.shape), f"{figure.mean_error:.1e} / {figure.largest_error:.1e}")
    labels = dict.fromkeys(figure.label for figure in figures)
    print_table(["engine", *shapes], [[label, *(first[label, shape] for shape in shapes)] for label in labels])


def ratios(found, pair, shape):
    """Returns the ratios with each number of threads."""
    return " / ".join(f"{c.ratio:.2f}" for c in found if (c.variant, c.peer_class) == pair and c.shape == shape)


def threads_text(counts):
    words = [f"{count} {'thread' if count == 1 else 'threads'}" for count in counts]
    return " / ".join(words)


def spread(figures):
    """Returns a sentence on the differences between rounds."""
    counts = sorted({len(figure.rounds) for figure in figures})
    rounds = f"{counts[0]} rounds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} rounds"
    shares = [figure.iqr_ms / figure.median_ms for figure in figures]
    return (
        f"Across {rounds}, the interquartile range is {statistics.median(shares):.0%} of the median"
        f" in a median cell and at most {max(shares):.0%}."
    )


def duration(milliseconds):
    return f"{milliseconds:.2f}" if milliseconds < 10 else f"{milliseconds:.1f}"


def load_row(load):
    row = load.as_row()
    sizes = [row[name] for name in ("loaded_mib", "disk_mib")]
    cells = [f"{size:.0f}" if size else "?" for size in sizes]
    return [str(load.threads), f"{load.engine} {load.variant}", f"{row['median_ms']:.0f}", *cells]


def print_table(headings, rows):
    """Prints a Markdown table whose columns line up."""
    rows = [headings, *rows]
    widths = [max(3, *map(len, column)) for column in zip(*rows)]
    for index, row in enumerate(rows):
        cells = [align(*cell) for cell in zip(row, widths, headings)]
        print("| " + " | ".join(cells) + " |")
        if index == 0:
            print("|" + "|".join(rule(*column) for column in zip(widths, headings)) + "|")


def align(cell, width, heading):
    return cell.ljust(width) if heading in WORDS else cell.rjust(width)


def rule(width, heading):
    return "-" * (width + 2) if heading in WORDS else "-" * (width + 1) + ":"
