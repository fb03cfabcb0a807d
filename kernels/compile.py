#!/usr/bin/env python3
"""Compiles the CUDA kernels to PTX, which is committed, so that building the crate needs no CUDA toolkit.

    python3 kernels/compile.py                  compiles every .cu to kernels/ptx/
    python3 kernels/compile.py --check          fails with a diff if kernels/ptx/ is out of date
    python3 kernels/compile.py --assemble       assembles kernels/ptx/ for sm_80, 86, 89 and 90 and checks that
                                                nothing spills, that resources stay within budgets.json, and
                                                that the expected instructions are there

The script first installs the compilers, NVRTC and ptxas, into a virtual environment: kernels/.venv unless
--venv names another. Linux only; needs neither a GPU nor a CUDA toolkit.
"""

import argparse
import difflib
import pathlib
import subprocess
import sys

import environment
from assemble import assemble
from failure import Failure
from nvrtc import Nvrtc

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = sorted(HERE.glob("*.cu"))
PTX = HERE / "ptx"
DIFF_LINES = 40


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--check", action="store_true", help="compare without writing anything")
    action.add_argument("--assemble", action="store_true", help="assemble kernels/ptx/ without compiling")
    parser.add_argument("--venv", type=pathlib.Path, default=environment.DEFAULT_FOLDER, help="virtual environment to use or create")
    return parser.parse_args()


def ptx_name(source):
    return f"{source.stem}.ptx"


def compile_all():
    """Compiles every source to kernels/ptx/."""
    nvrtc = Nvrtc()
    PTX.mkdir(exist_ok=True)
    for source in SOURCES:
        (PTX / ptx_name(source)).write_text(nvrtc.compile(source))


def check():
    """Fails unless compiling the sources gives the committed files."""
    nvrtc = Nvrtc()
    names = {ptx_name(source) for source in SOURCES}
    strays = {file.name for file in PTX.glob("*.ptx")} - names
    if strays:
        raise Failure(f"no source for {', '.join(sorted(strays))} in kernels/ptx")
    for source in SOURCES:
        file = PTX / ptx_name(source)
        committed = file.read_text().splitlines() if file.exists() else []
        compiled = nvrtc.compile(source).splitlines()
        if committed != compiled:
            diff = list(difflib.unified_diff(committed, compiled, f"ptx/{file.name}", f"{source.name}, compiled", lineterm="", n=1))
            print("\n".join(diff[:DIFF_LINES]))
            raise Failure(f"ptx/{file.name} is out of date with {source.name}; run compile.py")


def main():
    arguments = parse_arguments()
    environment.enter(arguments.venv)
    if arguments.check:
        check()
    elif arguments.assemble:
        files = sorted(PTX.glob("*.ptx"))
        if not files:
            raise Failure("kernels/ptx is empty; run compile.py")
        assemble(files)
    else:
        compile_all()


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"compile.py: {failure}")
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"compile.py: {error}")
