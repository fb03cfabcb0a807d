"""Memory that large inputs take beside their own."""

import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("numpy")


def peak_growth(prepare: str, call: str) -> tuple[int, int]:
    """Return the growth of a process's peak memory during a call, and the bytes of its input."""
    code = f"""
        import ctypes, resource
        import numpy as np
        import pyarrow as pa
        from distilbert_engine import Classifier
        classifier = Classifier(threads=1)
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
    found = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr
    growth, size = map(int, found.stdout.split())
    return growth, size


def test_texts_of_a_table_are_not_copied():
    """Classifies few but huge texts, of which the engine reads the beginning alone."""
    prepare = (
        "text = pa.array(['some words ' * 500_000] * 40); size = text.nbytes; "
        "table = pa.table({'text': text})"
    )
    growth, size = peak_growth(prepare, "classifier.classify_arrow(table, 'text')")
    assert size > 200e6
    assert growth < size / 5


def test_masked_ids_are_not_copied():
    """Computes rows of which nearly all is padding."""
    prepare = (
        "ids = np.zeros((500, 100_000), np.int64); ids[:, 0] = 101; mask = np.zeros(ids.shape, bool); "
        "mask[:, 0] = True; size = ids.nbytes"
    )
    growth, size = peak_growth(prepare, "classifier.logits(ids, mask)")
    assert size == 400e6
    assert growth < size / 5
