"""A toy classifier, trained here, that predicts whether a row has more good words than bad ones.

Unlike a model with random weights, it has known explanations: good words count for
one label, bad words for the other, and the rest for neither.
"""

import numpy as np
import torch
import transformers

import cases
from dice import Dice

# Ids of each kind of word; 0 to 3 are special tokens.
GOOD, BAD, PLAIN = range(4, 10), range(10, 16), range(16, 28)


def config():
    return cases.config(
        labels=2,
        problem_type="single_label_classification",
        attention_dropout=0.0,
        dim=16,
        dropout=0.0,
        hidden_dim=32,
        max_position_embeddings=14,
        n_heads=2,
        seq_classif_dropout=0.0,
        vocab_size=28,
    )


def row(dice):
    """Returns words with a majority of one kind, and that kind: 1 for good."""
    while True:
        words = [dice.pick(dice.pick((GOOD, BAD, PLAIN, PLAIN))) for _ in range(dice.between(1, 12))]
        balance = sum((word in GOOD) - (word in BAD) for word in words)
        if balance:
            return [cases.CLS] + words + [cases.SEP], int(balance > 0)


def train():
    """Returns tensors without the prefix, rounded to half precision, the configuration, and rows to explain."""
    torch.manual_seed(5)
    settings = config()
    model = transformers.DistilBertForSequenceClassification(
        transformers.DistilBertConfig(**dict(settings), attn_implementation="eager")
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    dice = Dice(5)
    for _ in range(600):
        rows = [row(dice) for _ in range(64)]
        width = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([ids + [cases.PAD] * (width - len(ids)) for ids, _ in rows])
        labels = torch.tensor([label for _, label in rows])
        loss = model(ids, attention_mask=(ids != cases.PAD).long(), labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"  toy: loss {loss.item():.4f}")
    tensors = {
        name.removeprefix("distilbert."): tensor.detach().half().float().numpy()
        for name, tensor in model.state_dict().items()
    }
    rows = [row(dice)[0] for _ in range(8)]
    return tensors, settings, [(ids, [1] * len(ids), {}, cases.PAD) for ids in rows]


def hexadecimal(tensors):
    """Returns little-endian f16 values in hexadecimal, row-major, by name."""
    return {name: tensor.astype(np.float16).astype("<f2").tobytes().hex() for name, tensor in sorted(tensors.items())}
