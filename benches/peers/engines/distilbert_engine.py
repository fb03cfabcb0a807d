"""This crate, through the Rust program in distilbert/."""

import pathlib
import shutil
import subprocess

import processor
from engines import rust

NAME = "distilbert"
VARIANTS = {name: name for name in ("f32", "f16", "bf16", "int8", "cascade")}
PROGRAM = "peer_distilbert"
ROOT = pathlib.Path(__file__).resolve().parents[3]

program = None


def build():
    """Builds the program without the feature `text`, since the generated model has no tokenizer."""
    global program
    program = rust.build(ROOT, "--package", "peer-distilbert", target=PROGRAM)


def unsupported(variant):
    if subprocess.run([program, "knows", variant], capture_output=True).returncode != 0:
        return "this version of the crate doesn't have it"
    if variant == "bf16" and not processor.has_bf16():
        return "the processor has no bf16 instructions"
    return None


def checkpoint(folder, variant):
    """The int8 checkpoint is in a separate folder."""
    return folder / "int8" if variant == "int8" else folder


def prepare(model, variant):
    if variant == "int8":
        # Always anew: the program may have changed since the last time.
        quantized = checkpoint(model.folder, variant)
        shutil.rmtree(quantized, ignore_errors=True)
        subprocess.run([program, "quantize", model.folder, quantized], check=True)


def command(folder, threads, variant):
    return [program, str(checkpoint(folder, variant)), str(threads), variant]


def files(folder, variant):
    return [checkpoint(folder, variant) / "model.safetensors"]
