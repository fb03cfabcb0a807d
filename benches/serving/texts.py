"""The texts that the servers get."""

import math
import random

import goemotions
from model import BUNDLED, RAGGED

SEED = 66
GENERATED = 2000


def texts():
    """Returns GoEmotions' development texts, or generated ones if the variable GOEMOTIONS is not set."""
    if goemotions.folder() is None:
        print(f"{goemotions.VARIABLE} doesn't name the data set's folder: the texts are generated")
        return spread(generated())
    return spread([text for text, _ in goemotions.rows("dev")])


def generated():
    """Returns texts of random words of one token, as long as the timed texts of the comparison of engines."""
    vocabulary = (BUNDLED / "vocab.txt").read_text(encoding="utf-8").split("\n")
    words = [word for word in vocabulary if word.isascii() and word.isalpha()]
    dice = random.Random(SEED)
    # Without [CLS] and [SEP].
    lengths = [RAGGED[index % len(RAGGED)] - 2 for index in range(GENERATED)]
    return [" ".join(dice.choices(words, k=length)) for length in lengths]


def spread(texts):
    """Orders texts so that any run of them has nearly the lengths of the whole: turns that get through different numbers of
    texts can then be compared."""
    counts = [len(ids) for ids in goemotions.token_ids(BUNDLED, texts)]
    print(f"{len(texts)} texts of {sum(counts) / len(counts):.1f} tokens on average, {max(counts)} at most")
    by_length = sorted(range(len(texts)), key=lambda index: counts[index])
    golden = (math.sqrt(5) - 1) / 2
    places = sorted(range(len(texts)), key=lambda index: index * golden % 1)
    ordered = [""] * len(texts)
    for place, index in zip(places, by_length):
        ordered[place] = texts[index]
    return ordered
