"""Finds the unit tests of kernels in the sources, so that none is missing on emulated CPUs."""

import pathlib
import re

SOURCES = pathlib.Path(__file__).resolve().parents[2] / "src"
# A test, up to the end of its function.
TEST = re.compile(r"^( *)#\[test\]\n(?: *#\[.*\]\n)*\1fn (\w+)\(\) \{\n(.*?)^\1\}$", flags=re.DOTALL | re.MULTILINE)
# Helpers of `cpu::simd` that run a kernel on every instruction set of the CPU.
ON_EVERY_SET = re.compile(r"\bon_every_(?:set|isa)\(")


def tests() -> set[str]:
    """Returns the full names of the tests that run kernels on every instruction set."""
    found = set()
    for file in SOURCES.rglob("*.rs"):
        text = file.read_text()
        module = [part for part in file.relative_to(SOURCES).with_suffix("").parts if part != "mod"]
        if file.stem != "tests" and "tests" not in module:
            module.append("tests")
        found |= {"::".join([*module, name]) for _, name, body in TEST.findall(text) if ON_EVERY_SET.search(body)}
    return found
