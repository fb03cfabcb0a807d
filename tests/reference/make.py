#!/usr/bin/env python3
"""Writes the goldens that the Rust tests read, with Hugging Face Transformers in float64.

    pip install torch==2.14.1 transformers safetensors numpy
    python3 tests/reference/make.py [part ...]

    part       writes           content
    tokens     tokens.json      texts and their token ids
    generated  generated.json   small models with generated weights: ids, masks, logits
    full       full.json        the same at the size of DistilBERT-base
    bundled    bundled.json     texts and their logits from the classifier in models/emotion
    explain    explain.json     relevances, ledgers and rollout on models of all three kinds,
                                and a toy model that is trained here, with its weights

By default all parts are written. The Rust tests only need the committed files,
which contain texts, ids, configurations and results. Except for the toy, they
contain no weights: the tests generate those from a seed (see weights.py).

The output is deterministic on one machine. On another CPU the last digits of a
logit may differ, because float64 sums are computed in a different order.
"""

import argparse
import hashlib
import json
import pathlib

import numpy as np
import safetensors
import tokenizers
import torch
import transformers

import cases
import explain
import texts
import toy
import weights

HERE = pathlib.Path(__file__).resolve().parent
MODEL = HERE.parent.parent / "models" / "emotion"
LIMIT = 512


def compact(value):
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def write(name, text):
    path = HERE / name
    path.write_text(text, encoding="ascii", newline="\n")
    print(f"{name}: {path.stat().st_size:,} bytes")


def lines(items):
    """Formats a JSON list with one item per line, so that a diff shows which item changed."""
    return "[\n" + ",\n".join(items) + "\n]"


# Tokens


def load_tokenizer(folder):
    """Returns Hugging Face's fast tokenizer, without the truncation of tokenizer.json."""
    tokenizer = transformers.DistilBertTokenizerFast.from_pretrained(folder)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def tokenizer_from_vocabulary(folder):
    """Returns the tokenizer made from vocab.txt alone, as for folders without tokenizer.json."""
    return transformers.DistilBertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=True)


def tokenizer_from_json(folder):
    """Returns the tokenizer of tokenizer.json itself; Transformers rebuilds its own from the vocabulary."""
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def make_tokens(folder):
    main, plain = load_tokenizer(folder), tokenizer_from_vocabulary(folder)
    raw = tokenizer_from_json(folder)
    rows = []
    for text in texts.token_texts():
        ids = main(text)["input_ids"]
        assert ids == plain(text)["input_ids"], f"vocab.txt alone differs on {text!r}"
        assert ids == raw.encode(text).ids, f"tokenizer.json itself differs on {text!r}"
        rows.append(compact([text, ids]))
    print(f"{len(rows)} texts, tokenizers {tokenizers.__version__}")
    write("tokens.json", '{"texts":' + lines(rows) + "}\n")


# Generated weights


def build_model(seed, config):
    """Returns the classifier with generated weights, and their checksum."""
    made = weights.generate(seed, config)
    # A copy, because building the configuration may modify its argument.
    settings = transformers.DistilBertConfig(**json.loads(json.dumps(config)))
    settings._attn_implementation = "eager"
    model = transformers.DistilBertForSequenceClassification(settings)
    named = {
        name if name.startswith(("pre_classifier", "classifier")) else f"distilbert.{name}": torch.from_numpy(t)
        for name, t in made.items()
    }
    outcome = model.load_state_dict(named, strict=False)
    assert not outcome.unexpected_keys, outcome.unexpected_keys
    positions = "distilbert." + weights.POSITIONS
    assert outcome.missing_keys == ([positions] if config["sinusoidal_pos_embds"] else []), outcome.missing_keys
    return model.double().eval(), weights.checksum(made)


@torch.no_grad()
def batch_logits(model, input_ids, attention_mask):
    out = model(torch.tensor(input_ids), attention_mask=torch.tensor(attention_mask))
    assert out.logits.dtype == torch.float64 and torch.isfinite(out.logits).all()
    return out.logits.tolist()


def golden(name, seed, config, batches):
    """Formats a case as JSON with one batch per line."""
    model, checksum = build_model(seed, config)
    rows, seen = [], []
    for title, input_ids, mask in batches(seed, config):
        logits = batch_logits(model, input_ids, mask)
        seen += [value for row in logits for value in row]
        rows.append(compact({"name": title, "input_ids": input_ids, "attention_mask": mask, "logits": logits}))
    print(f"  {name}: logits {min(seen):.2f} to {max(seen):.2f}, deviation {np.std(seen):.2f}")
    head = compact({"name": name, "seed": seed, "weights_checksum": checksum, "config": config})
    return head[:-1] + ',\n"batches":' + lines(rows) + "}"


def make_generated(_):
    made = [
        golden(name, seed, config, cases.small_batches)
        for seed, (name, config) in enumerate(cases.small_configs().items(), start=1)
    ]
    write("generated.json", lines(made) + "\n")


def make_full(_):
    write("full.json", lines([golden("base", 66, cases.base_config(), cases.base_batches)]) + "\n")


# The bundled classifier


def make_bundled(folder):
    tokenizer = load_tokenizer(folder)
    model, loading = transformers.DistilBertForSequenceClassification.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager", output_loading_info=True
    )
    assert not any(loading.values()), loading
    model.eval()
    rows, labels = [], []
    for text in texts.classifier_texts():
        dropped = len(tokenizer(text)["input_ids"])
        ids = tokenizer(text, truncation=True, max_length=LIMIT)["input_ids"]
        dropped -= len(ids)
        logits = batch_logits(model, [ids], [[1] * len(ids)])[0]
        labels.append(model.config.id2label[int(np.argmax(logits))])
        rows.append(compact({"text": text, "ids": ids, "dropped_tokens": dropped, "logits": logits}))
    print(f"{len(rows)} texts;", {label: labels.count(label) for label in sorted(set(labels))})
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    write("bundled.json", f'{{"sha256":"{digest}","cases":' + lines(rows) + "}\n")


# Explanations


STEPS = 6


def rounded(values):
    """Rounds to nine digits, which are enough for comparisons with single precision."""
    return [float(f"{float(value):.9g}") for value in values]


def reasons(model, ids, mask, goal, pad, text=None):
    """Formats the results of every method for a row as JSON."""
    logits = model.logits(ids, mask)
    goal = {"objective": "logit", "label": int(logits.argmax())} | goal
    kept = [index for index, value in enumerate(mask) if value]
    methods = {}
    for method in explain.RULES:
        relevance, ledger = model.attribute(ids, mask, goal, method)
        methods[method] = {
            "relevance": rounded(relevance[kept]),
            "ledger": dict(zip(ledger, rounded(ledger.values()))),
        }
    methods["integrated-gradients"] = {"relevance": rounded(model.integrate(ids, mask, goal, STEPS, pad)[kept])}
    row = {} if text is None else {"text": text}
    row |= {"ids": ids} if all(mask) else {"ids": ids, "mask": mask}
    rollout = explain.rollout(model.attention(ids, mask))[kept]
    return compact(row | goal | {"logits": rounded(logits), "methods": methods, "rollout": rounded(rollout)})


def explained(head, model, rows):
    """Formats a model as JSON with one row per line."""
    rows = [reasons(model, *row) for row in rows]
    return compact(head)[:-1] + ',\n"rows":' + lines(rows) + "}"


def make_explain(folder):
    made = []
    for name, seed, config, rows in cases.explained():
        tensors = weights.generate(seed, config)
        head = {"name": name, "seed": seed, "weights_checksum": weights.checksum(tensors), "config": config}
        made.append(explained(head, explain.Model(tensors, config), rows))
    tensors, config, rows = toy.train()
    head = {"name": "toy", "config": config, "weights": toy.hexadecimal(tensors)}
    made.append(explained(head, explain.Model(tensors, config), rows))

    config = json.loads((folder / "config.json").read_text())
    tokenizer = load_tokenizer(folder)
    with safetensors.safe_open(folder / "model.safetensors", "np") as file:
        tensors = {name.removeprefix("distilbert."): file.get_tensor(name) for name in file.keys()}
    goals = ({}, {"label": 5}, {"label": 3, "other": 6}, {"objective": "probability"})
    rows = []
    for index, text in enumerate(texts.explained_texts()):
        ids = tokenizer(text)["input_ids"]
        rows.append((ids, [1] * len(ids), goals[index % len(goals)], config["pad_token_id"], text))
    made.append(explained({"name": "bundled"}, explain.Model(tensors, config), rows))
    write("explain.json", f'{{"steps":{STEPS},"models":' + lines(made) + "}\n")


PARTS = {
    "tokens": make_tokens,
    "generated": make_generated,
    "bundled": make_bundled,
    "full": make_full,
    "explain": make_explain,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=f"any of {', '.join(PARTS)}; all by default")
    parser.add_argument("--model", type=pathlib.Path, default=MODEL, help="model folder for tokens, bundled and explain; models/emotion by default")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    # With one thread, the order of sums is the same in every run.
    torch.set_num_threads(1)
    # Texts beyond the model's limit are intended; this silences the warning about them.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for part in arguments.parts or PARTS:
        PARTS[part](arguments.model)


if __name__ == "__main__":
    main()
