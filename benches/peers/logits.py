"""Checks of the engines' logits against those of Transformers in f32."""

import os
import sys

import numpy as np

import engine_process
import engines

# Batch size of the sorted texts of a ragged batch, if that is faster for an engine that pads.
SORTED_ROWS = 8
REFERENCE = engines.Engine(engines.pytorch_engine, "f32")


def reference(folder, shapes):
    """Returns the logits of Transformers in f32 for each shape by name."""
    with engine_process.started(REFERENCE, folder, os.cpu_count() or 1) as worker:
        return {shape.name: compute(worker, shape.ids(), whole(shape))[0] for shape in shapes}


def whole(shape):
    """Returns the row indices of all texts as one batch."""
    return [list(range(len(shape.lengths)))]


def ways(engine, shape):
    """Returns the ways in which an engine may batch the rows, as lists of row indices."""
    if engine.name == engines.OURS or not shape.is_ragged:
        return [whole(shape)]
    # Batches of texts of similar length need less padding.
    [rows] = whole(shape)
    by_length = sorted(rows, key=lambda row: shape.lengths[row])
    return [[rows], [by_length[i : i + SORTED_ROWS] for i in range(0, len(rows), SORTED_ROWS)]]


def compute(worker, rows, way, repeats=1, warmup=0):
    """Returns the logits, one row per text in the order of `rows`, and the milliseconds of each repeat."""
    answer = worker.run(batches(rows, way), repeats, warmup)
    order = [row for batch in way for row in batch]
    logits = np.empty((len(rows), len(answer["logits"]) // len(rows)))
    logits[order] = np.reshape(answer["logits"], (len(rows), -1))
    return logits, answer["milliseconds"]


def batches(rows, way):
    return [[rows[row] for row in batch] for batch in way]


def check(worker, shape, logits, expected):
    """Ends the program if a logit is off by more than the tolerance; returns the differences."""
    differences = np.abs(logits - expected)
    # Written so that NaN fails as well.
    if not differences.max() <= worker.engine.tolerance:
        sys.exit(f"error: {worker.engine.label} is off by {differences.max()} on {shape.name}")
    return differences
