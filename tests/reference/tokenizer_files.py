#!/usr/bin/env python3
"""Writes tokenizer_files.json: the ids that Hugging Face Transformers gives for every combination of tokenizer files.

    pip install torch==2.14.1 transformers==5.23
    python3 tests/reference/tokenizer_files.py

The golden describes the files (vocabulary, tokenizer.json, settings, added tokens, classes) and the texts, so that the
Rust test writes the same folders. `rows` has the distinct lists of ids of each text; an answer is a string with one
character per text, an index in `rows`; `answers` of a combination is an index in the list of distinct answers, or null
where Transformers fails.
"""

import itertools
import json
import os
import pathlib
import random
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import transformers

HERE = pathlib.Path(__file__).resolve().parent
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = (
    "<s> </s> <unk> good Good GOOD day cafe café Café naive naïve Ångström angstrom straße strasse "
    "user User < > / ! , . ' - _ ( ) [ ] # @ & ## ##a ##e ##s ##ing ##day ##user a b c e i o s x un ##un "
    "中 国 中国 ##国 日本 ひ ##ら か ー hello Hello world ##world don t it ½ 1 2 ##2 ² fi fi ﬁ Ⅷ "
    "é É è ê ü Ü ##é ##ü ñ Ñ İ i̇ ß ẞ Σ σ ς 한 ᄒ नमस्ते न म ु ् ع ر ب ي 🙂 👍 🏽 ® € \u0301 <own> <user> [X] ##X"
).split()
VOCABULARY = list(dict.fromkeys(SPECIAL + WORDS))


def token(content, **flags):
    usual = dict(lstrip=False, normalized=False, rstrip=False, single_word=False, special=True)
    return {"content": content, **usual, **flags}


def tokenizer_json():
    added = [{"id": id, **token(text)} for id, text in enumerate(SPECIAL)]
    added.append({"id": len(VOCABULARY), **token("<new>", special=False, normalized=True)})
    special = lambda text: {"SpecialToken": {"id": text, "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    ids = {t: {"id": t, "ids": [VOCABULARY.index(t)], "tokens": [t]} for t in ("[CLS]", "[SEP]")}
    # The normalizer differs from every default, so that the file that wins shows.
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": False,
            "strip_accents": True,
            "lowercase": False,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special("[CLS]"), text, special("[SEP]")],
            "pair": [special("[CLS]"), text, special("[SEP]")],
            "special_tokens": ids,
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {text: id for id, text in enumerate(VOCABULARY)},
        },
    }


FILES = ["tokenizer.json", "vocab.txt", "both"]

# Parts of tokenizer_config.json.
CONFIGS = {
    "none": {},
    "case": {"do_lower_case": False},
    "accents": {"strip_accents": False},
    "chinese": {"tokenize_chinese_chars": False},
    "all": {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False},
}

N = len(VOCABULARY)
PLAIN = dict(special=False, normalized=True)
MAP = {
    "unk_token": "<unk>",
    "cls_token": "<s>",
    "sep_token": token("</s>", lstrip=True),
    "pad_token": "[PAD]",
    "mask_token": "[MASK]",
}

# Other files, and parts of tokenizer_config.json under its name.
ADDED = {
    "nothing": {},
    "added_tokens": {"added_tokens.json": {"<user>": N, "[Y]": N + 2, "GoOd": N + 1, "[MASK]": 4}},
    "added_tokens_decoder": {
        "tokenizer_config.json": {
            "added_tokens_decoder": {
                "2": token("[CLS]"),
                str(N + 1): token("<user>", **PLAIN),
                str(N): token("[Y]", rstrip=True, lstrip=True),
                str(N + 3): token("day", single_word=True, **PLAIN),
            }
        }
    },
    "special_tokens_map": {"special_tokens_map.json": MAP},
    "additional_special_tokens": {
        "tokenizer_config.json": {"additional_special_tokens": ["<user>", "[Y]", "hello"]}
    },
    "extra_special_tokens": {
        "tokenizer_config.json": {"extra_special_tokens": ["<user>", "中国"], "additional_special_tokens": ["[Y]"]}
    },
    "named_in_config": {
        "tokenizer_config.json": {"cls_token": "<s>", "sep_token": "</s>", "bos_token": "<bos>", "image_token": "<img>"}
    },
    "map_and_added": {
        "special_tokens_map.json": {**MAP, "additional_special_tokens": ["<user>"], "extra_special_tokens": ["[Y]"]},
        "added_tokens.json": {"<user>": N, "[Y]": N + 1},
        "tokenizer_config.json": {"cls_token": "[CLS]"},
    },
    "all": {
        "special_tokens_map.json": MAP,
        "added_tokens.json": {"<user>": N},
        "tokenizer_config.json": {
            "added_tokens_decoder": {str(N): token("[Y]", **PLAIN)},
            "additional_special_tokens": ["<img>"],
            "split_special_tokens": True,
        },
    },
}

CLASSES = [
    None,
    "BertTokenizer",
    "BertTokenizerFast",
    "DistilBertTokenizer",
    "DistilBertTokenizerFast",
    "PreTrainedTokenizerFast",
    "TokenizersBackend",
    "NoSuchTokenizer",
]


def texts():
    dice = random.Random(5)
    fixed = [
        "", " ", "\t\r\n", "Good café", "GOOD DAY!", "goodday", "ungoodday", "good <user> day", "good<user>day", "<USER>",
        "<User> naïve", "[CLS] good [SEP]", "[cls] good", "a[MASK]b", " [MASK] ", "[Y]", "x [Y] y", "x[Y]y", "[y]", "GoOd gOoD",
        "<s> hi </s>", "good </s>", "<unk>", "中国", "中国中国", "hello中国world", "日本ひらがな", "Ångström", "Ａｎｇ", "straße STRASSE ẞ",
        "café cafe\u0301 CAFE\u0301", "e\u0301\u0301\u0327", "\u0301", "\u0301 a", "a\u0000b", "a\ufffdb", "a\u200bb", "a\u200db",
        "a\u00adb", "a\u00a0b", "a\u3000b", "a\u2028b", "İstanbul ıI", "ΣΑΣ σας", "한국", "नमस्ते", "عربي", "🙂👍🏽", "½ ² ① Ⅷ ﬁ",
        "don't", "it's-a_b", "x" * 99, "x" * 100, "x" * 101, "e" * 250, "Hello, world! (good)", "##ing ing", "day days daying",
        "day day, aday daya", "<new> <NEW> x<new>y", "<own><img><bos>", "<img> x", "\ud7ff\ue000", "\U0002f800 \U00020000", "ǅ ǆ",
    ]
    pieces = WORDS + fixed + ["[Y]", "<img>", "<new>", "\u0308", "\u200b", "\t", "\u0007", "Day", "DAY", "user's", "zzz"]
    while len(fixed) < 230:
        joint = lambda: dice.choice(["", " ", " ", " ", "  ", "\u0301", "-"])
        text = "".join(dice.choice(pieces)[:40] + joint() for _ in range(dice.randint(1, 7)))
        fixed.append("".join(dice.choice([c, c, c.upper(), c.lower()]) if dice.random() < 0.2 else c for c in text))
    return fixed


def write_folder(folder, files, config, added, kind):
    write = lambda name, value: (folder / name).write_text(json.dumps(value), encoding="utf-8")
    if files != "vocab.txt":
        write("tokenizer.json", tokenizer_json())
    if files != "tokenizer.json":
        # Beside tokenizer.json the order differs, so that the file that wins shows.
        lines = VOCABULARY if files == "vocab.txt" else VOCABULARY[:5] + VOCABULARY[:4:-1]
        (folder / "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = {**CONFIGS[config], **ADDED[added].get("tokenizer_config.json", {})}
    model = {"model_type": "distilbert"}
    # Without tokenizer_config.json, config.json may name the class.
    if kind is not None:
        (settings if settings else model)["tokenizer_class"] = kind
    write("config.json", model)
    if settings:
        write("tokenizer_config.json", settings)
    for name, value in ADDED[added].items():
        if name != "tokenizer_config.json":
            write(name, value)


def ids(texts, *combination):
    with tempfile.TemporaryDirectory() as folder:
        write_folder(pathlib.Path(folder), *combination)
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            return [tokenizer(text)["input_ids"] for text in texts]
        except Exception as error:
            print(*combination, "fails:", type(error).__name__, str(error)[:100].replace("\n", " "))
            return None


def main():
    samples = texts()
    rows = [[] for _ in samples]
    answers, combinations = [], []
    for combination in itertools.product(FILES, CONFIGS, ADDED, CLASSES):
        found = ids(samples, *combination)
        if found is None:
            combinations.append(None)
            continue
        answer = ""
        for row, known in zip(found, rows):
            if row not in known:
                known.append(row)
            answer += DIGITS[known.index(row)]
        if answer not in answers:
            answers.append(answer)
        combinations.append(answers.index(answer))
    golden = {
        "transformers": transformers.__version__,
        "vocabulary": VOCABULARY,
        "tokenizer_json": tokenizer_json(),
        "files": FILES,
        "configs": [[name, config] for name, config in CONFIGS.items()],
        "added": [[name, files] for name, files in ADDED.items()],
        "classes": CLASSES,
        "texts": samples,
        "rows": rows,
        "answers": answers,
        "combinations": combinations,
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in golden.items()]
    path = HERE / "tokenizer_files.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="ascii", newline="\n")
    print(f"{path.name}: {path.stat().st_size:,} bytes, {len(answers)} answers, {combinations.count(None)} failures")


if __name__ == "__main__":
    main()
