#!/usr/bin/env python3
"""Simulates `Precision::Bf16` in PyTorch: operands of each product are rounded to bf16, and the rest is computed in f32.

    pip install torch==2.14.1 safetensors tokenizers
    python3 tests/reference/bf16.py                      writes `simulated` in bf16.json: ids and logits of a few texts
    python3 tests/reference/bf16.py --measure DEV.TSV    compares with f32 on texts with labels, one per line

The other entries of bf16.json are logits by the arithmetic of an instruction, which the tests of `src/cpu/load/tests.rs`
write.
"""

import argparse
import json
import math
import pathlib

import safetensors.torch
import tokenizers
import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).resolve().parent
MODEL = HERE.parent.parent / "models" / "emotion"
FILE = HERE / "bf16.json"
LIMIT = 512
BATCH_TOKENS = 1024
TEXTS = (
    "I can't believe we won!",
    "Why does nobody answer me?",
    "The train leaves at nine.",
    "That was disgusting, and I am still angry about it.",
    "I miss her more than I can say, and every evening the house is quieter than the evening before.",
)


def rounded(values):
    return values.bfloat16().float()


def same(values):
    return values


class Model:
    """DistilBERT for batches of texts of equal length. `round` is applied to the operands of products."""

    def __init__(self, round):
        self.round = round
        self.config = json.loads((MODEL / "config.json").read_text())
        stored = safetensors.torch.load_file(MODEL / "model.safetensors")
        self.tensors = {name.removeprefix("distilbert."): tensor.float() for name, tensor in stored.items()}

    def linear(self, name, values):
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        return F.linear(self.round(values), self.round(weight)) + bias

    def norm(self, name, values):
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        return F.layer_norm(values, weight.shape, weight, bias, 1e-12)

    def attention(self, layer, states):
        heads = self.config["n_heads"]
        size = self.config["dim"] // heads
        split = lambda values: values.unflatten(-1, (heads, size)).transpose(1, 2)
        query, key, value = (split(self.linear(f"{layer}.attention.{name}_lin", states)) for name in "qkv")
        scores = self.round(query) @ self.round(key).transpose(-1, -2) / math.sqrt(size)
        exponentials = torch.exp(scores - scores.amax(-1, keepdim=True))
        sums = self.round(exponentials) @ self.round(value)
        context = (sums / exponentials.sum(-1, keepdim=True)).transpose(1, 2).flatten(2)
        return self.linear(f"{layer}.attention.out_lin", context)

    def logits(self, ids):
        word = self.tensors["embeddings.word_embeddings.weight"][ids]
        position = self.tensors["embeddings.position_embeddings.weight"][: ids.shape[1]]
        states = self.norm("embeddings.LayerNorm", word + position)
        for index in range(self.config["n_layers"]):
            layer = f"transformer.layer.{index}"
            states = self.norm(f"{layer}.sa_layer_norm", states + self.attention(layer, states))
            inner = F.gelu(self.linear(f"{layer}.ffn.lin1", states))
            states = self.norm(f"{layer}.output_layer_norm", states + self.linear(f"{layer}.ffn.lin2", inner))
        return self.linear("classifier", F.relu(self.linear("pre_classifier", states[:, 0])))


def tokenize(texts):
    encodings = tokenizers.Tokenizer.from_file(str(MODEL / "tokenizer.json")).encode_batch(list(texts))
    ids = (encoding.ids for encoding in encodings)
    return [row if len(row) <= LIMIT else row[: LIMIT - 1] + row[-1:] for row in ids]


def predict(model, rows):
    """Returns the logits of each row."""
    by_length = {}
    for index, row in enumerate(rows):
        by_length.setdefault(len(row), []).append(index)
    logits = [None] * len(rows)
    for length, indices in by_length.items():
        for start in range(0, len(indices), max(1, BATCH_TOKENS // length)):
            part = indices[start : start + max(1, BATCH_TOKENS // length)]
            for index, found in zip(part, model.logits(torch.tensor([rows[index] for index in part]))):
                logits[index] = found
    return torch.stack(logits)


def measure(path):
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n") if line]
    lines = [(fields[0], int(fields[1])) for fields in lines if fields[1].isdigit()]
    rows, labels = tokenize(text for text, _ in lines), torch.tensor([label for _, label in lines])
    exact, found = (predict(Model(round), rows) for round in (same, rounded))
    differences, chosen = (found - exact).abs(), found.argmax(-1)
    scores = []
    for label in range(found.shape[1]):
        right = ((chosen == label) & (labels == label)).sum().item()
        scores.append(2 * right / max(1, (chosen == label).sum().item() + (labels == label).sum().item()))
    print(f"{len(rows)} texts")
    print(f"same label as f32: {100 * (chosen == exact.argmax(-1)).float().mean():.2f} %")
    print(f"accuracy: {100 * (chosen == labels).float().mean():.2f} %")
    print(f"macro-F1: {100 * sum(scores) / len(scores):.2f} %")
    print(f"logits: {differences.mean():.1e} from f32 on average, {differences.max():.1e} at most")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", type=pathlib.Path, metavar="DEV.TSV")
    arguments = parser.parse_args()
    with torch.inference_mode():
        if arguments.measure:
            return measure(arguments.measure)
        rows = tokenize(TEXTS)
        logits = predict(Model(rounded), rows)
    goldens = json.loads(FILE.read_text()) if FILE.exists() else {}
    goldens["simulated"] = [{"ids": row, "logits": found.tolist()} for row, found in zip(rows, logits)]
    FILE.write_text(json.dumps(goldens, separators=(",", ":"), sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
