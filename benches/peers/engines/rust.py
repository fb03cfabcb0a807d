"""Builds the engines that are Rust programs."""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")


def build(folder, *arguments, target):
    """Builds a package's target in release mode and returns the path of the program."""
    built = subprocess.run(
        ["cargo", "build", "--release", *arguments, "--message-format=json-render-diagnostics"],
        cwd=folder,
        env=os.environ | {"CARGO_TARGET_DIR": str(TARGET)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    return next(
        message["executable"]
        for message in messages
        if message.get("executable") and message["target"]["name"] == target
    )
