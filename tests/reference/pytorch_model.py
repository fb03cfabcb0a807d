#!/usr/bin/env python3
"""Writes one file of tests/reference/pytorch_model, in the format of the installed PyTorch.

    pip install torch numpy
    python3 tests/reference/pytorch_model.py NAME

NAME              written by
torch-1.4.0       PyTorch 1.4.0 (Python 3.8), in its only format: pickles and then the storages
torch-1.12.1      PyTorch 1.12.1 (Python 3.10), as a zip archive
torch-2.14.1      PyTorch 2.14.1 (Python 3.11), as a zip archive
protocol-4        PyTorch 2.14.1, with version 4 of the pickle protocol
shards            PyTorch 2.14.1: pytorch_model.bin.index.json and two shards
views             PyTorch 2.14.1: tensors that are views of larger ones (offsets, strides, transposes), that share
                  storages, parameters, and a buffer of integers
halves            PyTorch 2.14.1: F16 and BF16

All files hold the tensors of tf_model/twin.safetensors. Only this script needs PyTorch; the Rust tests use the
committed files.
"""

import collections
import json
import pathlib
import sys

import numpy as np
import torch

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = HERE / "pytorch_model"


def twin():
    """Returns the tensors of twin.safetensors, read without the safetensors package, which is newer than PyTorch 1.4."""
    data = (HERE / "tf_model/twin.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    tensors = collections.OrderedDict()
    for name, info in header.items():
        if name == "__metadata__":
            continue
        start, end = (8 + length + offset for offset in info["data_offsets"])
        values = np.frombuffer(data[start:end], dtype="<f4").reshape(info["shape"])
        tensors[name] = torch.from_numpy(values.copy())
    # A module's state_dict has an attribute with the versions of its parts.
    tensors._metadata = collections.OrderedDict([("", {"version": 1}), ("distilbert", {"version": 1})])
    return tensors


def views(tensors):
    attention = "distilbert.transformer.layer.0.attention."
    projections = [f"{attention}{part}_lin.weight" for part in "qkv"]
    stacked = torch.cat([tensors[name] for name in projections])
    for name, part in zip(projections, stacked.chunk(3)):
        tensors[name] = part
    for name in [name for name in tensors if name.endswith("ffn.lin1.weight")]:
        tensors[name] = tensors[name].t().contiguous().t()
    words = "distilbert.embeddings.word_embeddings.weight"
    wide = torch.zeros(90, 30)
    wide[:, 3:27] = tensors[words]
    tensors[words] = wide[:, 3:27]
    tall = torch.zeros(24, 3, 50)
    tall[:, 1, ::2][:, :24] = tensors["pre_classifier.weight"].t()
    tensors["pre_classifier.weight"] = tall[:, 1, ::2][:, :24].t()
    bias = torch.zeros(3, 5)
    bias[:, 2] = tensors["classifier.bias"]
    tensors["classifier.bias"] = bias[:, 2]
    tensors["classifier.weight"] = torch.nn.Parameter(tensors["classifier.weight"])
    # As in older versions of Transformers, and a shared tensor of another head.
    tensors["distilbert.embeddings.position_ids"] = torch.arange(24).expand((1, -1))
    tensors["vocab_projector.weight"] = tensors[words]
    return tensors


def halves(tensors):
    for index, name in enumerate(tensors):
        tensors[name] = tensors[name].to(torch.float16 if index % 2 else torch.bfloat16)
    return tensors


def shards(tensors):
    folder = FOLDER / "shards"
    folder.mkdir(exist_ok=True)
    names = list(tensors)
    weight_map = {}
    for shard in range(2):
        file = f"pytorch_model-0000{shard + 1}-of-00002.bin"
        part = {name: tensors[name] for name in names[shard::2]}
        torch.save(part, folder / file)
        weight_map.update({name: file for name in part})
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")


def main():
    FOLDER.mkdir(exist_ok=True)
    name = sys.argv[1]
    path = str(FOLDER / f"{name}.bin")
    if name.startswith("torch-"):
        assert torch.__version__.split("+")[0] == name[len("torch-") :], torch.__version__
        torch.save(twin(), path)
    elif name == "protocol-4":
        torch.save(twin(), path, pickle_protocol=4)
    elif name == "shards":
        shards(twin())
    else:
        torch.save({"views": views, "halves": halves}[name](twin()), path)


if __name__ == "__main__":
    main()
