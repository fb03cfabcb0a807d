"""Shared fixtures: the bundled model, and texts."""

import csv
import os
from pathlib import Path

import pytest

from distilbert_engine import Classifier

SENTENCES = [
    "I can't believe we won!",
    "I miss you so much.",
    "What a shock!",
    "The meeting is at noon.",
    "",
    "Ça alors… 你好 🙂!",
    "so " * 700,
]


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return Classifier(threads=1)


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Return 500 texts: those of GoEmotions where they are, otherwise made-up ones."""
    folder = os.environ.get("GOEMOTIONS")
    found: list[str] = []
    for path in sorted(Path(folder).glob("*.tsv")) if folder else []:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            found.extend(row[0] for row in rows if row)
    if len(found) < 500:
        words = " ".join(SENTENCES[:4]).split()
        found = [" ".join(words[i % 7 : i % 7 + 1 + i % 13]) + f" {i}" for i in range(500)]
    return [*SENTENCES, *found][:500]
