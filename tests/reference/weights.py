"""Random model weights, made by a rule short enough to write again in Rust.

The goldens hold token ids and logits but no weights: whoever reads them makes
the same weights from a seed. The rule is defined here.

Names are Hugging Face's without the prefix `distilbert.`, for example
`embeddings.word_embeddings.weight`, `transformer.layer.0.attention.q_lin.weight`,
`pre_classifier.weight`, `classifier.bias`.

For tensor NAME of the model with integer SEED, all integers being u64 that wrap:

    state = SEED xor fnv1a64(NAME)              # UTF-8 bytes, the usual offset and prime
    element i, counted from 0 in row-major order:
    z  = state + (i + 1) * 0x9E3779B97F4A7C15
    z ^= z >> 30;  z *= 0xBF58476D1CE4E5B9
    z ^= z >> 27;  z *= 0x94D049BB133111EB
    z ^= z >> 31
    u  = (z >> 40) / 2^23 - 1                   # f64, exact, in [-1, 1)
    value = float32(offset + scale * u)         # f64, rounded once at the end

The first rule that fits gives offset and scale, both f64 (fan_in = columns):

    name ends in                                            offset  scale
    .bias                                                   0       0.1
    LayerNorm.weight, or _layer_norm.weight                 1       0.25
    _embeddings.weight                                      0       1
    q_lin.weight or k_lin.weight                            0       2.5 / sqrt(fan_in)
    classifier.weight, the whole name                       0       6 / sqrt(fan_in)
    anything else                                           0       2 / sqrt(fan_in)

(`pre_classifier.weight` is "anything else".) With these, attention is neither
uniform nor one-hot, and logits are of order 1 to 10 and differ between inputs.

With `sinusoidal_pos_embds` the model has no position tensor: its table is the
one Hugging Face's DistilBERT creates for itself when a checkpoint has none,

    angle = pos / 10000^(2 * (j // 2) / dim)    # f64 throughout
    table[pos][j] = float32(sin(angle)) for even j, float32(cos(angle)) for odd j

A checkpoint that does hold a position tensor is believed, whatever the flag says.

The checksum of a model is the wrapping u64 sum of the bit patterns (u32) of
all its generated values: it does not depend on the order of the tensors, so a
reader can tell a wrong generator from a wrong forward pass.

The first three values of some tensors, to try another implementation on:

    seed  name                                         shape   values
    1     classifier.bias                              (3,)    -0.0686057, -0.09131153, -0.057562865
    3     pre_classifier.weight                        (7, 5)  -0.3867595, 0.65774083, -0.3243793
    9     transformer.layer.0.attention.k_lin.weight   (3, 4)  0.08279592, -0.9378341, 1.1187904
    66    embeddings.LayerNorm.weight                  (9,)    1.0123956, 0.875119, 0.9780494
"""

import numpy as np

from dice import GOLDEN_GAMMA, MASK

POSITIONS = "embeddings.position_embeddings.weight"


def fnv1a64(text):
    hashed = 0xCBF29CE484222325
    for byte in text.encode("utf-8"):
        hashed = ((hashed ^ byte) * 0x100000001B3) & MASK
    return hashed


def offset_and_scale(name, shape):
    if name.endswith(".bias"):
        return 0.0, 0.1
    if name.endswith(("LayerNorm.weight", "_layer_norm.weight")):
        return 1.0, 0.25
    if name.endswith("_embeddings.weight"):
        return 0.0, 1.0
    root = np.sqrt(np.float64(shape[-1]))
    if name.endswith(("q_lin.weight", "k_lin.weight")):
        return 0.0, 2.5 / root
    if name == "classifier.weight":
        return 0.0, 6.0 / root
    return 0.0, 2.0 / root


def uniform(state, count):
    """`count` values of u in [-1, 1). Works in place: the largest tensor has 23 M."""
    z = np.arange(1, count + 1, dtype=np.uint64)
    z *= np.uint64(GOLDEN_GAMMA)
    z += np.uint64(state)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z ^= z >> np.uint64(shift)
        z *= np.uint64(factor)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) / 2.0**23 - 1.0


def tensor(seed, name, shape):
    offset, scale = offset_and_scale(name, shape)
    values = uniform(seed ^ fnv1a64(name), int(np.prod(shape)))
    return (offset + scale * values).astype(np.float32).reshape(shape)


def shapes(config):
    """Every tensor of a DistilBERT classifier: name → shape. Takes config.json's object."""
    dim, hidden = config["dim"], config["hidden_dim"]
    table = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], dim),
        POSITIONS: (config["max_position_embeddings"], dim),
    }

    def add(name, rows, columns=None):
        table[f"{name}.weight"] = (rows, columns) if columns else (rows,)
        table[f"{name}.bias"] = (rows,)

    add("embeddings.LayerNorm", dim)
    for index in range(config["n_layers"]):
        layer = f"transformer.layer.{index}"
        for projection in ("q_lin", "k_lin", "v_lin", "out_lin"):
            add(f"{layer}.attention.{projection}", dim, dim)
        add(f"{layer}.sa_layer_norm", dim)
        add(f"{layer}.ffn.lin1", hidden, dim)
        add(f"{layer}.ffn.lin2", dim, hidden)
        add(f"{layer}.output_layer_norm", dim)
    add("pre_classifier", dim, dim)
    add("classifier", len(config.get("id2label", "01")), dim)

    if config["sinusoidal_pos_embds"]:
        del table[POSITIONS]
    return table


def generate(seed, config):
    """All tensors of the model, name → float32 array."""
    return {name: tensor(seed, name, shape) for name, shape in shapes(config).items()}


def checksum(tensors):
    total = sum(int(t.view(np.uint32).sum(dtype=np.uint64)) for t in tensors.values())
    return f"{total & MASK:016x}"
