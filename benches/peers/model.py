"""The model that every engine runs: DistilBERT-base's size, generated weights, and its exports.

The weights are those of the golden case `full`; tests/reference/weights.py has their rule. The
folder is made once and kept below cargo's target folder:

    config.json, model.safetensors    Hugging Face's layout
    model.onnx                        PyTorch's export, batch and length free
    fused.onnx                        the same, fused by ONNX Runtime's optimiser
    made_with.json                    the versions that made it; others make it anew
"""

import collections
import json
import os
import pathlib
import sys

import environment

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "reference"))

import cases  # noqa: E402
import weights  # noqa: E402
from dice import Dice  # noqa: E402

SEED = 66
INPUTS = ["input_ids", "attention_mask"]
MAKERS = ["numpy", "onnx", "onnxruntime", "torch", "transformers"]
# Without all of these the peer would not be at its best.
FUSIONS = {"Attention": 6, "BiasGelu": 6, "SkipLayerNormalization": 12}


# Tokens of 32 texts as they come in chats: mostly short, now and then long.
RAGGED = [
    12, 7, 23, 5, 16, 9, 31, 14, 8, 19, 11, 47, 6, 15, 10, 26,
    13, 4, 18, 9, 22, 37, 7, 12, 64, 17, 8, 28, 11, 20, 6, 14,
]  # fmt: skip


class Shape:
    """A batch: `rows` texts of `tokens` tokens each, named such as `1x128`, or `ragged32`."""

    def __init__(self, name):
        self.name = name
        if name == "ragged32":
            self.lengths = RAGGED
        else:
            rows, tokens = (int(part) for part in name.split("x"))
            self.lengths = [tokens] * rows

    @property
    def is_ragged(self):
        return len(set(self.lengths)) > 1

    def ids(self):
        """Rows of token ids, [CLS] words [SEP]: the same on every run."""
        dice, vocab = Dice(SEED), cases.base_config()["vocab_size"]
        return [cases.ids(dice, length, vocab) for length in self.lengths]


def target_folder():
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target")


def make():
    """The model's folder, made unless it is there."""
    folder = target_folder() / "peers" / "base"
    stamp = folder / "made_with.json"
    versions = {name: environment.installed(name) for name in MAKERS}
    if not stamp.exists() or json.loads(stamp.read_text()) != versions:
        print(f"making the model in {folder}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        stamp.unlink(missing_ok=True)
        write_checkpoint(folder)
        export(folder)
        fuse(folder)
        stamp.write_text(json.dumps(versions))
    check_fusions(folder / "fused.onnx")
    return folder


def write_checkpoint(folder):
    from safetensors.numpy import save_file

    config = cases.base_config()
    tensors = {
        name if name.startswith(("pre_classifier", "classifier")) else f"distilbert.{name}": tensor
        for name, tensor in weights.generate(SEED, config).items()
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def export(folder):
    """Eager attention and the TorchScript exporter: ONNX Runtime's optimiser knows their patterns."""
    import warnings

    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    classifier = transformers.DistilBertForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager"
    )
    # Ones are ids and a full mask alike.
    example = torch.ones(2, 8, dtype=torch.int64)
    axes = {name: {0: "batch", 1: "length"} for name in INPUTS} | {"logits": {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            classifier.eval(),
            (example, example),
            folder / "model.onnx",
            input_names=INPUTS,
            output_names=["logits"],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )


def fuse(folder):
    from onnxruntime.transformers.optimizer import optimize_model

    heads, dim = cases.base_config()["n_heads"], cases.base_config()["dim"]
    optimised = optimize_model(
        str(folder / "model.onnx"), model_type="bert", num_heads=heads, hidden_size=dim
    )
    optimised.save_model_to_file(str(folder / "fused.onnx"))


def check_fusions(path):
    import onnx

    nodes = onnx.load(path).graph.node
    counts = collections.Counter(node.op_type for node in nodes)
    found = {name: counts[name] for name in FUSIONS}
    print("fused graph:", ", ".join(f"{count} {name}" for name, count in found.items()))
    if found != FUSIONS:
        sys.exit(f"error: the graph is not fused as it should be, expected {FUSIONS}")
