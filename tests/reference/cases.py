"""Configurations and batches of the goldens with generated weights."""

from dice import Dice

PAD, CLS, SEP, FIRST_WORD = 0, 1, 2, 3


def config(labels=7, problem_type=None, **changes):
    """Returns the config.json object of a small DistilBERT, as Hugging Face writes it."""
    names = [f"label {i}" for i in range(labels)]
    base = {
        "activation": "gelu",
        "architectures": ["DistilBertForSequenceClassification"],
        "attention_dropout": 0.1,
        "dim": 64,
        "dropout": 0.1,
        "hidden_dim": 128,
        "id2label": {str(i): name for i, name in enumerate(names)},
        "initializer_range": 0.02,
        "label2id": {name: i for i, name in enumerate(names)},
        "max_position_embeddings": 48,
        "model_type": "distilbert",
        "n_heads": 4,
        "n_layers": 2,
        "num_labels": labels,
        "pad_token_id": PAD,
        "problem_type": problem_type,
        "qa_dropout": 0.1,
        "seq_classif_dropout": 0.2,
        "sinusoidal_pos_embds": False,
        "tie_weights_": True,
        "vocab_size": 200,
    }
    return base | changes


def config_without_labels():
    """Removes the labels, as Hugging Face does if there are two unnamed ones."""
    bare = config(labels=2, dim=40, n_heads=5, hidden_dim=72)
    for key in ("id2label", "label2id", "num_labels", "problem_type", "pad_token_id"):
        del bare[key]
    return bare


def small_configs():
    """Returns config.json objects by name. No vector width divides all sizes."""
    multi, single = "multi_label_classification", "single_label_classification"
    return {
        "head 16": config(problem_type=single, dim=64, n_heads=4),
        "head 32": config(labels=3, dim=96, n_heads=3, hidden_dim=192, vocab_size=300),
        "head 64": config(dim=128, n_heads=2, hidden_dim=256, max_position_embeddings=64),
        "dim 48, 3 heads, hidden 100": config(dim=48, n_heads=3, hidden_dim=100, n_layers=3),
        "hidden 37": config(labels=5, dim=32, n_heads=2, hidden_dim=37),
        "dim 20, head 5": config(labels=4, dim=20, n_heads=4, hidden_dim=33, n_layers=3),
        "dim 6, head 3": config(labels=3, dim=6, n_heads=2, hidden_dim=10, max_position_embeddings=33),
        "one head of 24": config(dim=24, n_heads=1, hidden_dim=96),
        "sinusoidal": config(sinusoidal_pos_embds=True, max_position_embeddings=64),
        "sinusoidal, dim 30": config(sinusoidal_pos_embds=True, dim=30, n_heads=3, hidden_dim=50),
        "relu": config(activation="relu", dim=48, n_heads=2, hidden_dim=150),
        "regression": config(labels=1, problem_type="regression", vocab_size=101),
        "two labels": config(labels=2, problem_type=single, max_position_embeddings=32),
        "28 labels": config(labels=28, problem_type=multi, dim=80, n_heads=5, hidden_dim=160),
        "one layer": config(n_layers=1, dim=56, n_heads=7, hidden_dim=90),
        "labels not named": config_without_labels(),
    }


def base_config():
    """Returns a configuration of DistilBERT-base's size with seven labels."""
    return config(
        dim=768,
        hidden_dim=3072,
        max_position_embeddings=512,
        n_heads=12,
        n_layers=6,
        vocab_size=30522,
    )


def ids(dice, length, vocab):
    """Returns [CLS] words [SEP], truncated to `length`."""
    words = [dice.between(FIRST_WORD, vocab - 1) for _ in range(length - 2)]
    return ([CLS] + words + [SEP])[:length]


def one_row(name, row, mask=None):
    return name, [row], [mask or [1] * len(row)]


def right_padded(name, dice, lengths, vocab):
    width = max(lengths)
    rows = [ids(dice, n, vocab) + [PAD] * (width - n) for n in lengths]
    masks = [[1] * n + [0] * (width - n) for n in lengths]
    return name, rows, masks


def left_padded(name, dice, lengths, vocab):
    """Pads right after [CLS], so that words have positions far from 0."""
    width = max(lengths)
    rows, masks = [], []
    for n in lengths:
        row, gap = ids(dice, n, vocab), width - n
        rows.append(row[:1] + [PAD] * gap + row[1:])
        masks.append([1] + [0] * gap + [1] * (n - 1))
    return name, rows, masks


def holes(name, dice, rows, width, vocab):
    """Masks tokens anywhere but first. They are real words: the mask matters, not the id."""
    percents = [20 + 25 * (i % 3) for i in range(rows)]
    masks = [[1] + [0 if dice.chance(p) else 1 for _ in range(width - 1)] for p in percents]
    return name, [ids(dice, width, vocab) for _ in range(rows)], masks


def small_batches(seed, cfg):
    """Yields (name, input_ids, attention_mask) of each batch of a small configuration."""
    dice, vocab = Dice(seed), cfg["vocab_size"]
    full = cfg["max_position_embeddings"]
    for n in (1, 2, 3, 8, 17, full):
        yield one_row(f"{n} tokens", ids(dice, n, vocab))
    yield one_row("only the first token unmasked", ids(dice, 9, vocab), [1] + [0] * 8)
    yield right_padded("ragged", dice, [5, 19, 1, 12, 2, 30], vocab)
    yield right_padded("ragged to the limit", dice, [full, 7, full - 1], vocab)
    yield left_padded("padding after the first token", dice, [4, 13, 22, 1], vocab)
    yield holes("holes", dice, 4, 21, vocab)
    same = ids(dice, 11, vocab)
    yield "one row three times", [same] * 3, [[1] * 11] * 3


def base_batches(seed, cfg):
    dice, vocab = Dice(seed), cfg["vocab_size"]
    for n in (8, 32, 128, 512):
        yield one_row(f"{n} tokens", ids(dice, n, vocab))
    yield right_padded("ragged", dice, [3, 50, 21, 64], vocab)
    yield holes("holes", dice, 2, 40, vocab)


def explained():
    """Yields (name, seed, config, rows) of each model to explain; a row is ids, mask, goal, pad."""
    goals = {
        "head 16": ({}, {"label": 2}, {"label": 0, "other": 5}, {"objective": "probability"}),
        "dim 20, head 5": ({}, {"label": 1, "other": 3, "objective": "probability"}),
        "dim 6, head 3": ({},),
        "sinusoidal": ({},),
        "relu": ({},),
        "regression": ({},),
        "28 labels": ({}, {"label": 7, "objective": "probability"}),
        "one layer": ({},),
    }
    for seed, (name, cfg) in enumerate(small_configs().items(), start=1):
        if name in goals:
            yield name, seed, cfg, explained_rows(Dice(seed + 1000), cfg, goals[name])
    cfg = base_config()
    dice = Dice(1066)
    rows = [(ids(dice, n, cfg["vocab_size"]), [1] * n, {}, PAD) for n in (5, 60)]
    yield "base", 66, cfg, rows


def explained_rows(dice, cfg, goals):
    vocab, full = cfg["vocab_size"], cfg["max_position_embeddings"]
    rows = []
    for index, length in enumerate((1, 2, 9, 17, full)):
        row, goal = ids(dice, length, vocab), goals[index % len(goals)]
        rows.append((row, [1] * length, goal, PAD))
    # Masked tokens in the middle and at the end.
    rows.append((ids(dice, 12, vocab), [1, 1, 0, 1, 0, 0, 1, 1, 1, 1, 0, 0], goals[0], PAD))
    return rows
