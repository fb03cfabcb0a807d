"""Memory that large inputs take beside their own.

`COPIES_ROWS` sets the number of rows, 50,000 by default.
"""

import os
import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("numpy")

ROWS = int(os.environ.get("COPIES_ROWS", "50000"))


def peak_growth(model, prepare: str, call: str) -> tuple[int, int]:
    """Return the growth of a process's peak memory during a call, and the bytes of its input."""
    code = f"""
        import numpy as np
        import pyarrow as pa
        from distilbert_engine import Classifier
        classifier = Classifier({str(model)!r}, threads=1)
        def peak():
            with open("/proc/self/status") as file:
                lines = dict(line.split(":", 1) for line in file)
            return int(lines["VmHWM"].split()[0]) * 1024
        {prepare}
        # Buffers of the engine.
        classifier.classify(["some words " * 60] * 300)
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        before = peak()
        {call}
        print(peak() - before, size)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert found.returncode == 0, found.stderr
    growth, size = map(int, found.stdout.split())
    print(f"{ROWS} rows, {size / 1e6:.0f} MB: {growth / 1e6:.1f} MB more")
    return growth, size


@pytest.mark.parametrize("kind", ["string", "large_string", "string_view"])
def test_texts_of_a_table_are_not_copied(tiny_model, kind):
    """Classifies texts of 200 characters, of which the engine reads the beginning alone."""
    prepare = (
        f"text = pa.array((('row %7d' % row + ' and its words' * 14) for row in range({ROWS})), pa.{kind}()); "
        "size = text.nbytes; table = pa.table({'text': text})"
    )
    call = "found = classifier.classify_arrow(table, 'text', max_tokens=4)"
    growth, size = peak_growth(tiny_model, prepare, call)
    assert size > 200 * ROWS
    # The columns that are added have some twenty bytes a row.
    assert growth < size / 2


@pytest.mark.parametrize("mask", ["mask", "None"])
def test_ids_are_not_copied(tiny_model, mask):
    """Computes rows of 64 ids, of which a mask keeps two."""
    prepare = (
        f"ids = np.full(({ROWS} * 2, 64), 2003); mask = np.zeros(ids.shape, bool); mask[:, :2] = True; "
        "size = ids.nbytes"
    )
    growth, size = peak_growth(tiny_model, prepare, f"classifier.logits(ids, {mask})")
    assert size == 1024 * ROWS
    assert growth < size / 4
