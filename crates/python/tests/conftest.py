"""Shared fixtures: the bundled model, and texts."""

import csv
import json
import os
import struct
from pathlib import Path

import pytest

from distilbert_engine import BUNDLED_MODEL, Classifier

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


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """Return the folder of a model that computes next to nothing: one layer, 16 wide, with the bundled tokenizer."""
    folder = tmp_path_factory.mktemp("tiny")
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).symlink_to(BUNDLED_MODEL / name)
    config = json.loads((BUNDLED_MODEL / "config.json").read_text("utf-8"))
    wide, inner, labels = 16, 32, len(config["id2label"])
    config.update(dim=wide, hidden_dim=inner, n_layers=1, n_heads=2, dtype="float32")
    (folder / "config.json").write_text(json.dumps(config), "utf-8")

    layer = "distilbert.transformer.layer.0"
    shapes = {
        "distilbert.embeddings.word_embeddings.weight": [config["vocab_size"], wide],
        "distilbert.embeddings.position_embeddings.weight": [512, wide],
        "pre_classifier.weight": [wide, wide],
        "pre_classifier.bias": [wide],
        "classifier.weight": [labels, wide],
        "classifier.bias": [labels],
        f"{layer}.ffn.lin1.weight": [inner, wide],
        f"{layer}.ffn.lin1.bias": [inner],
        f"{layer}.ffn.lin2.weight": [wide, inner],
        f"{layer}.ffn.lin2.bias": [wide],
    }
    for name in ("q_lin", "k_lin", "v_lin", "out_lin"):
        shapes[f"{layer}.attention.{name}.weight"] = [wide, wide]
        shapes[f"{layer}.attention.{name}.bias"] = [wide]
    for name in ("distilbert.embeddings.LayerNorm", f"{layer}.sa_layer_norm", f"{layer}.output_layer_norm"):
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = [wide]

    header, data = {}, bytearray()
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        # A sawtooth: the logits only have to be finite, and to differ.
        values = [(index * 7919 % 1009) / 1009 - 0.5 for index in range(1009)]
        repeated = struct.pack(f"<{len(values)}f", *values) * (count // len(values) + 1)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * count]}
        data += repeated[: 4 * count]
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    return folder
