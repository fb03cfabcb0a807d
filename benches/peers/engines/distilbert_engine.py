"""This crate, through the Rust program in distilbert.rs."""

import json
import pathlib
import subprocess

NAME = "distilbert"
PRECISION = "f32"
EXAMPLE = "peer_distilbert"
ROOT = pathlib.Path(__file__).resolve().parents[3]

program = None


def build():
    """Builds the program; without `text`, for the generated model has no tokenizer."""
    global program
    cargo = ["cargo", "build", "--release", "--no-default-features", "--example", EXAMPLE]
    built = subprocess.run(
        [*cargo, "--message-format=json-render-diagnostics"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    program = next(
        message["executable"]
        for message in messages
        if message.get("executable") and message["target"]["name"] == EXAMPLE
    )


def command(folder, threads):
    return [program, str(folder), str(threads)]
