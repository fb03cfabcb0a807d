"""candle, through the Rust program in candle/: `candle-transformers`' DistilBERT and a head."""

import pathlib

from engines import rust

NAME = "candle"
VARIANTS = {"f32": "f32"}
# Its GELU is the tanh approximation.
TOLERANCES = {"f32": 1e-2}
PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "candle"

program = None


def build():
    global program
    program = rust.build(PACKAGE, "--locked", target="peer_candle")


def prepare(model, variant):
    pass


def command(folder, threads, variant):
    return ["env", f"RAYON_NUM_THREADS={threads}", program, str(folder)]


def files(folder, variant):
    return [folder / "model.safetensors"]
