"""GoEmotions in the Ekman grouping, whose folder the environment variable GOEMOTIONS names.

The folder has `train.tsv`, `dev.tsv` (text, label indices, comment id) and `labels.txt`. None of it is kept, except
results and the scales that NNCF derives from training texts.
"""

import os
import pathlib

VARIABLE = "GOEMOTIONS"
# Names of labels that differ in the bundled model.
RENAMED = {"joy": "happiness"}


def folder():
    """Returns the folder, or None if the variable isn't set."""
    path = os.environ.get(VARIABLE)
    return pathlib.Path(path) if path else None


def rows(split):
    """Returns the texts of a split with the list of their labels."""
    lines = (folder() / f"{split}.tsv").read_text(encoding="utf-8").rstrip("\n").split("\n")
    fields = [line.split("\t") for line in lines]
    return [(text, [int(label) for label in labels.split(",")]) for text, labels, _ in fields]


def label_names():
    names = (folder() / "labels.txt").read_text(encoding="utf-8").splitlines()
    return [RENAMED.get(name, name) for name in names]


def training_texts(count):
    """Returns texts at even distances in the training split."""
    texts = [text for text, _ in rows("train")]
    return [texts[index * len(texts) // count] for index in range(count)]


def labeled_texts():
    """Returns the development texts that have one label, and these labels."""
    single = [(text, labels[0]) for text, labels in rows("dev") if len(labels) == 1]
    return [text for text, _ in single], [label for _, label in single]


def token_ids(model, texts):
    """Returns the token ids of texts, with the tokenizer of a model folder."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.enable_truncation(512)
    return [encoding.ids for encoding in tokenizer.encode_batch(texts)]
