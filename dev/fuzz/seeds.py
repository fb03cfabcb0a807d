#!/usr/bin/env python3
"""Writes the first inputs of the fuzz targets to dev/fuzz/corpus, and the Parquet files that they edit. Needs pyarrow.

    python3 dev/fuzz/seeds.py
"""

import json
import pathlib
import pickle
import struct

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = pathlib.Path(__file__).resolve().parent
DATA = ROOT.parent / "fuzz-targets" / "data"


def write(target, name, content):
    """Writes one input."""
    folder = ROOT / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(content)


def edits(*parts):
    """Joins the bytes of several edits."""
    return b"".join(parts)


def json_edit(kind, index, *rest):
    """Returns an edit of a JSON document."""
    return bytes([kind]) + struct.pack("<H", index) + bytes(rest)


def file_edit(kind, offset, *rest):
    """Returns an edit of a binary file."""
    return bytes([kind]) + struct.pack("<I", offset)[:3] + bytes(rest)


def models():
    """Inputs of the targets that load a model."""
    config = {"model_type": "distilbert", "dim": 24, "hidden_dim": 40, "n_layers": 2, "n_heads": 3, "vocab_size": 90,
              "max_position_embeddings": 24, "num_labels": 3}
    write("config", "whole", bytes([0]) + json.dumps(config).encode())
    write("config", "huge", bytes([0]) + json.dumps(config | {"dim": 2**40, "num_labels": 2**33}).encode())
    for index in range(0, 24, 3):
        write("config", f"edit-{index}", bytes([1 | index << 1]) + edits(json_edit(2, index, 255, 255, 0, 0, 0, 0, 0, 0)))
    write("config", "repeat", bytes([1]) + json_edit(6, 2, 14))
    for file in range(8):
        for index in (1, 5, 17, 30):
            write("tokenizer", f"edit-{file}-{index}", bytes([file << 2]) + json_edit(0, index, 1, file, 6, index, 0, 9))
    write("tokenizer", "vocab", bytes([4 << 2 | 3]) + b"[PAD]\n[CLS]\n[SEP]\n[UNK]\nw4\nw5\n##w6\n")
    write("tokenizer", "added", bytes([5 << 2, 3]) + b'{"w5": 5, "<user>": 90, "": 91}')
    for choice in (1, 2, 4, 12, 20):
        write("safetensors", f"edit-{choice}", bytes([choice]) + edits(file_edit(0x10, 20, 65, 66), file_edit(5, 0, 1)))
    write("safetensors", "header", bytes([4]) + json_edit(1, 3, 0, 4) + json_edit(2, 9, 1, 0, 0, 0, 0, 0, 0, 0))
    write("safetensors", "index", bytes([3]) + json_edit(3, 4, 3, *b"../"))
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    write("safetensors", "whole", bytes([0]) + struct.pack("<Q", len(header)) + header + b"\0\0\x80\x3f")
    for offset in (0, 8, 24, 96, 200, 800, 2000, 8000, 20000):
        write("hdf5", f"edit-{offset}", bytes([1]) + file_edit(0x30, offset, 1, 2, 3, 4))
    write("hdf5", "signature", bytes([0]) + b"\x89HDF\r\n\x1a\n" + bytes(88))
    for kind in range(4, 8):
        for offset in (0, 40, 200, 3000):
            write("pickle", f"edit-{kind}-{offset}", bytes([kind]) + file_edit(0x10, offset, 65, 66))
    write("pickle", "dict", bytes([1]) + pickle.dumps({"a": 1, "b": [2, "c"]}, protocol=2))
    write("pickle", "protocol-4", bytes([2]) + pickle.dumps({"a": (1, 2, 3), "b": None}, protocol=4))
    write("pickle", "tensor", bytes([1]) + tensor_pickle())
    write("pickle", "legacy", bytes([3]) + pickle.dumps(1001, protocol=2) + pickle.dumps({"little_endian": True}, protocol=2)
          + tensor_pickle() + pickle.dumps(["0"], protocol=2) + struct.pack("<Q", 24) + bytes(96))


def tensor_pickle():
    """Returns the pickle of a dictionary with one tensor of 24 floats."""
    return (b"\x80\x02ccollections\nOrderedDict\n)R(X\x0f\0\0\0classifier.biasctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage"
            b"ctorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x18tQK\0K\x06K\x04\x86K\x04K\x01\x86\x89ccollections\nOrderedDict\n)RtRu.")


def calls():
    """Inputs of the targets that call a model."""
    for group in range(6):
        write("tokens", f"rows-{group}", bytes([group, 1, 3, 1, 5, 2, 0, 1, 9, 43]) + bytes(range(4, 47)))
        write("tokens", f"mask-{group}", bytes([group, 0, 6]) + bytes(range(1, 13)) + bytes([1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0]))
    for kind in range(6):
        write("truncation", f"words-{kind}", bytes([kind % 2, kind, 0, kind]) + bytes([1, 0, 3, 5, 9, 10, 131]))
        write("truncation", f"long-{kind}", bytes([kind % 2, kind, 6, 2]) + bytes([1, 0, 140, 1, 139]))
        write("truncation", f"text-{kind}", bytes([kind % 2, kind, 12, 0, 0]) + "w5 w6, w7 caf\u00e9 e\u0301".encode())
    for path in range(13):
        write("server", f"edit-{path}", bytes([1, path]) + json_edit(1, 2, path % 8, path))
        write("server", f"as-is-{path}", bytes([1 | path << 5 & 255, path]))
    write("server", "binary", bytes([2, 10, 10]) + b"\2\0\0\0w5\0\0\0\0" + json.dumps({"inputs": [{"name": "text",
          "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 10}}]}).encode())
    write("server", "page", bytes([5, 9]))
    write("server", "objects", bytes([0, 0]) + b'{"inputs": [{"a": 1}, [[["w5"]]], null]}')


def tables():
    """Inputs of the targets that read tables."""
    write("delimited", "quoted", bytes([3 | 24]) + b'text,label\n"a, ""b""\nc",x\n,\r\n\xff,y')
    write("delimited", "tabs", bytes([0]) + b"text\tlabel\na\tb\n\"\t\n\n")
    write("delimited", "semicolon", bytes([1 | 16]) + b"label;text\n1;2\n\n\"\"\n")
    write("delimited", "mark", bytes([3 | 8]) + b"\xef\xbb\xbfa,b\r\r\n\"c\"d,\"\n\"")
    write("json_lines", "objects", bytes([0]) + b'{"text": "a\\u00e9", "label": ["x", 1, true]}\n\n{"text": 1.50}\n{"text": null}\n[1]\n')
    write("json_lines", "deep", bytes([0]) + b'{"text": ' + b"[" * 200 + b"]" * 200 + b"}\n")
    write("json_lines", "surrogates", bytes([0]) + b'{"text": "\\ud83d\\ude00 \\ud800", "text": "\xff"}\r\n{"a": 1e400}')
    write("json_lines", "list", bytes([255]) + b'{"text":"a","label":[1,2,3,4,5,6,7,8]}\n')
    DATA.mkdir(exist_ok=True)
    texts, labels = ["w5 w6", "", None, "caf\u00e9"], ["x", "y", "x", None]
    plain = pa.table({"text": texts, "label": labels})
    pq.write_table(plain, DATA / "plain.parquet", use_dictionary=False, compression="none", store_schema=False)
    many = pa.table({"text": texts * 8, "label": labels * 8})
    pq.write_table(many, DATA / "dictionary.parquet", row_group_size=10, compression="zstd", store_schema=False)
    lists = pa.table({"text": ["a", "b"], "label": [["x", "y"], []]})
    pq.write_table(lists, DATA / "lists.parquet", compression="snappy", store_schema=False)
    numbers = pa.table({"text": pa.array([1, None, 3], pa.int32()), "label": pa.array([b"\xff", b"x", None], pa.binary())})
    pq.write_table(numbers, DATA / "numbers.parquet", compression="gzip", data_page_version="2.0", store_schema=False)
    plain_type = pa.schema([("text", pa.string()), ("label", pa.dictionary(pa.int8(), pa.list_(pa.float32())))], {"a": "b"})
    (DATA / "schema.arrow").write_bytes(plain_type.serialize())
    for offset in (0, 8, 60, 100):
        write("parquet", f"schema-{offset}", bytes([7]) + file_edit(0x10, offset, 1, 0))
    for index in range(1, 5):
        write("parquet", f"edit-{index}", bytes([index]) + file_edit(0x10, 300, 65, 66))
        write("parquet", f"start-{index}", bytes([index]) + file_edit(5, 8, index))


def main():
    models()
    calls()
    tables()


if __name__ == "__main__":
    main()
