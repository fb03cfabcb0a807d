"""candle, through the Rust program in candle/: `candle-transformers`' DistilBERT and a head."""

import pathlib

from engines import rust

NAME = "candle"
PRECISIONS = ["f32"]
# Its GELU is the tanh approximation.
TOLERANCE = 1e-2
PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "candle"

program = None


def build():
    global program
    program = rust.build(PACKAGE, "--locked", target="peer_candle")


def prepare(folder, precision):
    pass


def command(folder, threads, precision):
    return ["env", f"RAYON_NUM_THREADS={threads}", program, str(folder)]


def files(folder, precision):
    return [folder / "model.safetensors"]
