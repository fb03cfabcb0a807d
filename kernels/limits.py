#!/usr/bin/env python3
"""Prints, as Markdown tables, lower bounds for the time of a forward pass on several GPUs. Nothing is measured.

    python3 kernels/limits.py

For each launch it counts the bytes to move (weights, inputs and outputs once each) and the multiplications and
additions of GEMMs and attention. The bound is the larger of the two times at the GPU's peak rates.
"""

import collections

# DistilBERT-base. The number of heads does not affect the counts.
DIM, LAYERS, HIDDEN, LABELS = 768, 6, 3072, 7
# Texts x tokens: sizes that are not rounded up to a larger shape.
SIZES = [(1, 16), (1, 128), (32, 128)]

# Memory bandwidth in GB/s and dense f16 and int8 rates in 10^12 operations per second, from NVIDIA's data sheets.
Gpu = collections.namedtuple("Gpu", "name memory f16 int8")
GPUS = [Gpu("A100", 1555, 312, 624), Gpu("L4", 300, 121, 242), Gpu("H100", 3350, 989, 1979)]

# `operations` run in the precision of the pass, except that attention always runs in f16.
Launch = collections.namedtuple("Launch", "kernel bytes operations is_attention", defaults=[0, False])

HALF, FLOAT, INT, ROW_SCALE, COLUMN = 2, 4, 4, 8, 16


class Pass:
    """The launches of one forward pass, as in src/cuda/forward.rs."""

    def __init__(self, texts, length, in_bytes):
        self.texts, self.length, self.tokens = texts, length, texts * length
        self.in_bytes = in_bytes
        self.launches = []
        self.embeddings()
        for _ in range(LAYERS - 1):
            self.linear("query_key_value", self.tokens, DIM, 3 * DIM)
            self.attention("attention", self.tokens)
            self.after_attention(self.tokens)
        # Last layer: keys and values of all tokens, everything else for the first token of each text.
        self.linear("query_key_value", self.tokens, DIM, 2 * DIM)
        for row_bytes in [DIM * HALF] + [DIM, ROW_SCALE] * in_bytes:
            self.launch("gather_first_rows", 2 * texts * row_bytes)
        self.linear("query_key_value", texts, DIM, DIM)
        self.attention("attention_first", texts)
        self.after_attention(texts)
        self.linear("pre_classifier", texts, DIM, DIM)
        self.quantize(texts, DIM)
        self.linear("classifier", texts, DIM, LABELS, output_bytes=FLOAT)

    def launch(self, *arguments):
        self.launches.append(Launch(*arguments))

    def row_bytes(self, values):
        """Returns the bytes of a row as GEMMs read it."""
        return values + ROW_SCALE if self.in_bytes else values * HALF

    def embeddings(self):
        table_row = DIM + FLOAT if self.in_bytes else DIM * HALF
        written = DIM * HALF + self.row_bytes(DIM) * self.in_bytes
        self.launch("embeddings", self.tokens * (2 * INT + 2 * table_row + written) + 2 * DIM * FLOAT)

    def linear(self, name, rows, inputs, outputs, reads_output=False, output_bytes=HALF):
        weights = outputs * (inputs + COLUMN if self.in_bytes else inputs * HALF + FLOAT)
        moved = self.row_bytes(inputs) + outputs * output_bytes * (2 if reads_output else 1)
        kernel = name if name == "classifier" else f"linear, {name}"
        self.launch(kernel, weights + rows * moved, 2 * rows * inputs * outputs)

    def attention(self, name, queries):
        keys_and_values = self.tokens * 2 * DIM * HALF
        # Each query with each key, and each probability with each value.
        operations = 2 * 2 * queries * self.length * DIM
        self.launch(name, keys_and_values + 2 * queries * DIM * HALF, operations, True)

    def after_attention(self, rows):
        self.quantize(rows, DIM)
        self.linear("attention_output", rows, DIM, DIM, reads_output=True)
        self.layer_norm(rows)
        self.linear("feed_forward_in", rows, DIM, HIDDEN)
        self.quantize(rows, HIDDEN)
        self.linear("feed_forward_out", rows, HIDDEN, DIM, reads_output=True)
        self.layer_norm(rows)

    def layer_norm(self, rows):
        moved = 2 * DIM * HALF + self.row_bytes(DIM) * self.in_bytes
        self.launch("layer_norm_quantize" if self.in_bytes else "layer_norm", rows * moved + 2 * DIM * FLOAT)

    def quantize(self, rows, values):
        if self.in_bytes:
            self.launch("quantize", rows * (values * HALF + self.row_bytes(values)))


def microseconds(launch, gpu, in_bytes):
    """Returns the lower bound of a launch's time."""
    rate = gpu.int8 if in_bytes and not launch.is_attention else gpu.f16
    return max(launch.bytes / gpu.memory / 1e3, launch.operations / rate / 1e6)


def digits(value):
    """Formats a value with about three significant digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cells(launches, in_bytes):
    moved = sum(launch.bytes for launch in launches) / 1e6
    operations = sum(launch.operations for launch in launches) / 1e9
    times = (sum(microseconds(launch, gpu, in_bytes) for launch in launches) for gpu in GPUS)
    return [f"{digits(moved)} / {digits(operations) if operations else 0}", " / ".join(map(digits, times))]


def table(in_bytes):
    passes = [Pass(*size, in_bytes).launches for size in SIZES]
    kernels = dict.fromkeys(launch.kernel for launch in passes[0])
    gpus = " / ".join(gpu.name for gpu in GPUS)
    names = [f"{texts}×{length}" for texts, length in SIZES]
    header = ["int8" if in_bytes else "f16", "launches"]
    for name in names:
        header += [f"{name}: MB / Gop", f"µs {gpus}"]
    yield header
    for kernel in kernels:
        rows = [[launch for launch in launches if launch.kernel == kernel] for launches in passes]
        yield [kernel, str(len(rows[0])), *(cell for row in rows for cell in cells(row, in_bytes))]
    yield ["total", str(len(passes[0])), *(cell for launches in passes for cell in cells(launches, in_bytes))]


def main():
    for in_bytes in [False, True]:
        if in_bytes:
            print()
        header, *rows = table(in_bytes)
        print(f"| {' | '.join(header)} |", "|---" * len(header) + "|", sep="\n")
        for row in rows:
            print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
