#!/usr/bin/env python3
"""Compiles the CUDA kernels to PTX, which is committed and needs no toolkit to be used.

    python3 kernels/compile.py                  compiles every .cu to kernels/ptx/
    python3 kernels/compile.py --check          fails with a diff unless that gives what is there
    python3 kernels/compile.py --assemble       assembles what is there for sm_80, 86, 89 and 90: no spills,
                                                no more than budgets.json allows, the instructions it expects
    python3 kernels/compile.py --define BUG_LINEAR_WAIT --output FOLDER
                                                compiles those files that the macro changes

The compilers, NVRTC and ptxas, are installed into a virtual environment first, kernels/.venv
unless --venv names another. Linux only; no GPU and no CUDA toolkit is needed.
"""

import argparse
import difflib
import pathlib
import re
import subprocess
import sys

import environment
from assemble import assemble
from failure import Failure
from nvrtc import HEADERS, Nvrtc

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = sorted(HERE.glob("*.cu"))
PTX = HERE / "ptx"
DIFF_LINES = 40


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--check", action="store_true", help="compare, and write nothing")
    action.add_argument("--assemble", action="store_true", help="assemble what is there, and compile nothing")
    action.add_argument("--define", action="append", default=[], metavar="MACRO", help="define a macro; needs --output")
    parser.add_argument("--output", type=pathlib.Path, metavar="FOLDER", help="write there instead")
    parser.add_argument("--venv", type=pathlib.Path, default=environment.DEFAULT_FOLDER, help="virtual environment to use or make")
    arguments = parser.parse_args()
    if arguments.define and arguments.output is None:
        parser.error("--define needs --output: what is committed has no macros")
    if arguments.output is not None and (arguments.check or arguments.assemble):
        parser.error("--output goes with compiling only")
    return arguments


def mentions(source, macro):
    """Whether a source or a header that it includes has the macro."""
    text = source.read_text()
    included = set(re.findall(r'^#include "(.*)"', text, flags=re.MULTILINE))
    texts = [text, *(header.read_text() for header in HEADERS if header.name in included)]
    return any(re.search(rf"\b{macro}\b", text) for text in texts)


def sources(macros):
    """The sources that a variant differs in: all if there are no macros."""
    for macro in macros:
        if not re.fullmatch(r"\w+", macro) or not any(mentions(source, macro) for source in SOURCES):
            raise Failure(f"no kernel has the macro {macro}")
    return [source for source in SOURCES if not macros or any(mentions(source, macro) for macro in macros)]


def ptx_name(source):
    return f"{source.stem}.ptx"


def compile_all(folder, macros):
    nvrtc = Nvrtc()
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources(macros):
        (folder / ptx_name(source)).write_text(nvrtc.compile(source, macros))


def check():
    """Fails unless the committed files are what the sources compile to."""
    nvrtc = Nvrtc()
    names = {ptx_name(source) for source in SOURCES}
    strays = {file.name for file in PTX.glob("*.ptx")} - names
    if strays:
        raise Failure(f"no source compiles to {', '.join(sorted(strays))}")
    for source in SOURCES:
        file = PTX / ptx_name(source)
        committed = file.read_text().splitlines() if file.exists() else []
        compiled = nvrtc.compile(source).splitlines()
        if committed != compiled:
            diff = list(difflib.unified_diff(committed, compiled, f"ptx/{file.name}", f"{source.name}, compiled", lineterm="", n=1))
            print("\n".join(diff[:DIFF_LINES]))
            raise Failure(f"ptx/{file.name} is not what {source.name} compiles to; run compile.py")


def main():
    arguments = parse_arguments()
    environment.enter(arguments.venv)
    if arguments.check:
        check()
    elif arguments.assemble:
        files = sorted(PTX.glob("*.ptx"))
        if not files:
            raise Failure("there is nothing in kernels/ptx; run compile.py")
        assemble(files)
    else:
        compile_all(arguments.output or PTX, arguments.define)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"compile.py: {failure}")
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"compile.py: {error}")
