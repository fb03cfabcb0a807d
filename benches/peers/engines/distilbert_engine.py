"""This crate, through the Rust program in distilbert/."""

import pathlib
import subprocess

from engines import rust

NAME = "distilbert"
PRECISIONS = ["f32", "f16", "int8"]
PROGRAM = "peer_distilbert"
ROOT = pathlib.Path(__file__).resolve().parents[3]

program = None


def build():
    """Builds the program without the feature `text`, since the generated model has no tokenizer."""
    global program
    program = rust.build(ROOT, "--package", "peer-distilbert", target=PROGRAM)


def model(folder, precision):
    """The int8 checkpoint is in a separate folder."""
    return folder / "int8" if precision == "int8" else folder


def prepare(folder, precision):
    if precision == "int8" and not (model(folder, precision) / "model.safetensors").exists():
        subprocess.run([program, "quantize", folder, model(folder, precision)], check=True)


def command(folder, threads, precision):
    return [program, str(model(folder, precision)), str(threads), precision]


def files(folder, precision):
    return [model(folder, precision) / "model.safetensors"]
