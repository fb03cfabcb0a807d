#!/usr/bin/env python3
"""Writes tests/reference/tf_model: a model that TensorFlow has saved, and its twin of PyTorch.

    pip install tensorflow-cpu==2.15.1 transformers==4.40.2 torch safetensors "numpy<2"
    python3 tests/reference/tf_model.py

    file               written by
    config.json        Transformers, with the weights of TensorFlow
    tf_model.h5        TFDistilBertForSequenceClassification.save_pretrained
    vocab.txt          this script: a word for each id
    twin.safetensors   Transformers' own conversion of tf_model.h5 to PyTorch
    logits.json        rows of token ids; the logits of TensorFlow in float32 and of PyTorch in float64

The weights are made by the rule in weights.py. The folder holds no model.safetensors, so
that tf_model.h5 is what is read from it. Transformers of other versions name the tensors in
the file alike: 4.1.1, 4.11.3, 4.20.1, 4.30.2, 4.36.2, 4.46.3 and 4.57.1 were compared.
Nothing else here needs TensorFlow, and the Rust tests need none of this.
"""

import json
import pathlib
import tempfile

import numpy as np
import torch
import transformers
from transformers import DistilBertForSequenceClassification, TFDistilBertForSequenceClassification

import weights
from dice import Dice

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = HERE / "tf_model"
SEED = 31
LABELS = ("anger", "happiness", "sadness")


def config():
    return transformers.DistilBertConfig(
        dim=24,
        hidden_dim=40,
        n_layers=2,
        n_heads=3,
        vocab_size=90,
        max_position_embeddings=24,
        id2label=dict(enumerate(LABELS)),
        label2id={label: id for id, label in enumerate(LABELS)},
    )


def pytorch_name(variable):
    """The name in PyTorch of a variable of TensorFlow, and whether it is transposed."""
    parts = variable.name.removesuffix(":0").replace("_._", "/").split("/")[1:]
    if parts[0] == "distilbert":
        parts = parts[1:]
    kind = {"kernel": "weight", "gamma": "weight", "embeddings": "weight", "beta": "bias"}
    return ".".join(parts[:-1] + [kind.get(parts[-1], parts[-1])]), parts[-1] == "kernel"


def with_weights(model):
    """Gives every variable the values of the rule, which is for shapes as PyTorch has them."""
    model(model.dummy_inputs)
    for variable in model.weights:
        name, transposed = pytorch_name(variable)
        shape = tuple(variable.shape)
        values = weights.tensor(SEED, name, shape[::-1] if transposed else shape)
        variable.assign(values.T if transposed else values)
    return model


def rows():
    dice = Dice(SEED)
    return [[dice.between(1, 89) for _ in range(dice.between(1, 24))] for _ in range(12)]


def main():
    model = with_weights(TFDistilBertForSequenceClassification(config()))
    model.save_pretrained(FOLDER)
    words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"] + [f"w{id}" for id in range(4, 90)]
    (FOLDER / "vocab.txt").write_text("\n".join(words))
    twin = DistilBertForSequenceClassification.from_pretrained(FOLDER, from_tf=True)
    with tempfile.TemporaryDirectory() as folder:
        twin.save_pretrained(folder, safe_serialization=True)
        written = pathlib.Path(folder, "model.safetensors").read_bytes()
    (FOLDER / "twin.safetensors").write_bytes(written)

    exact = twin.double().eval()
    cases = []
    for ids in rows():
        of_tensorflow = model(np.array([ids])).logits.numpy()[0]
        with torch.no_grad():
            of_pytorch = exact(torch.tensor([ids])).logits[0]
        cases.append(
            {"ids": ids, "tensorflow": [float(x) for x in of_tensorflow], "logits": of_pytorch.tolist()}
        )
    lines = ",\n".join(json.dumps(case) for case in cases)
    (FOLDER / "logits.json").write_text(f'{{"cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
