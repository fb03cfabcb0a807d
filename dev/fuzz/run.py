#!/usr/bin/env python3
"""Builds fuzz targets and runs each of them, without cargo-fuzz and on a stable compiler.

    python3 dev/fuzz/run.py                             every target for a minute
    python3 dev/fuzz/run.py --seconds 900 pickle hdf5   some targets for 15 minutes each
    python3 dev/fuzz/run.py --sanitizer address tokens  with AddressSanitizer
    python3 dev/fuzz/run.py --keep                      moves inputs that reach new code to dev/fuzz/corpus

A target ends at its first finding, whose input is left in target/fuzz/artifacts: a panic of this repository's code or
an uncaught one, more than 16 bytes of memory for each byte of the input beyond a constant, or an input that takes more
than a second. New inputs are left in target/fuzz/corpus.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
COVERAGE = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
]
TARGETS = sorted(path.stem for path in (FOLDER / "fuzz_targets").glob("*.rs") if path.stem != "main")
LONGEST_INPUT = 4096
# Largest input and largest number of inputs that `--keep` keeps for a target.
LARGEST_KEPT, MOST_KEPT = 1024, 150


def build(targets, sanitizer, folder):
    """Builds targets, and returns the folder of their programs."""
    version = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    host = re.search(r"^host: (\S+)$", version, flags=re.MULTILINE)[1]
    flags, environment = list(COVERAGE), dict(os.environ)
    if sanitizer != "none":
        # Sanitizers are not stable.
        flags.append(f"-Zsanitizer={sanitizer}")
        environment["RUSTC_BOOTSTRAP"] = "1"
    environment["RUSTFLAGS"] = " ".join(flags)
    environment["CARGO_TARGET_DIR"] = str(folder)
    # A given target keeps the flags from build scripts.
    command = ["cargo", "build", "--quiet", "--manifest-path", str(FOLDER / "Cargo.toml"), "--target", host]
    subprocess.run(command + [part for name in targets for part in ("--bin", name)], env=environment, check=True)
    return folder / host / "debug"


def folders(target):
    """Returns the folders with a target's inputs, the one for new inputs first."""
    new = ROOT / "target/fuzz/corpus" / target
    new.mkdir(parents=True, exist_ok=True)
    kept = [FOLDER / "corpus" / target, FOLDER / "regressions" / target]
    return [new] + [folder for folder in kept if folder.is_dir()]


def run(program, arguments):
    """Runs a target; returns `True` without a finding."""
    target = program.name
    artifacts = ROOT / "target/fuzz/artifacts" / target
    artifacts.mkdir(parents=True, exist_ok=True)
    command = [program, *folders(target), f"-max_total_time={arguments.seconds}", "-timeout=1", "-rss_limit_mb=2048",
               f"-max_len={LONGEST_INPUT}", f"-artifact_prefix={artifacts}/", "-print_final_stats=1",
               f"-runs={arguments.runs}"]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace")
    executions = re.search(r"number_of_executed_units: +(\d+)", result.stderr)
    done = re.search(r"Done \d+ runs in (\d+) second", result.stderr)
    seconds = done[1] if done else "?"
    coverage = re.findall(r"cov: (\d+)", result.stderr)
    count = executions[1] if executions else "?"
    print(f"{target}: {count} executions in {seconds} seconds, {coverage[-1] if coverage else '?'} edges", flush=True)
    if result.returncode != 0:
        print("\n".join(result.stderr.splitlines()[-40:]), flush=True)
    return result.returncode == 0


def keep(program):
    """Adds small inputs that reach new code to those that are kept."""
    target = program.name
    kept = FOLDER / "corpus" / target
    with tempfile.TemporaryDirectory() as merged:
        for path in kept.iterdir():
            shutil.copyfile(path, pathlib.Path(merged, path.name))
        subprocess.run([program, "-merge=1", "-timeout=10", merged, folders(target)[0]], capture_output=True, check=True)
        new = [path for path in pathlib.Path(merged).iterdir() if not (kept / path.name).exists()]
        new = sorted((path for path in new if path.stat().st_size <= LARGEST_KEPT), key=lambda path: path.stat().st_size)
        for path in new[: max(0, MOST_KEPT - len(list(kept.iterdir())))]:
            shutil.copyfile(path, kept / path.name)
    print(f"{target}: {len(list(kept.iterdir()))} inputs")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(TARGETS)} [default: all]")
    parser.add_argument("--seconds", type=int, default=60, help="time for each target")
    parser.add_argument("--runs", type=int, default=-1, help="number of inputs for each target")
    parser.add_argument("--sanitizer", default="none", choices=["none", "address"])
    parser.add_argument("--build-folder", type=pathlib.Path, help="folder for build outputs [default: target/fuzz/SANITIZER]")
    parser.add_argument("--build", action="store_true", help="only build")
    parser.add_argument("--keep", action="store_true", help="only move new inputs to dev/fuzz/corpus")
    arguments = parser.parse_args()
    targets = arguments.targets or TARGETS
    unknown = set(targets) - set(TARGETS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    programs = build(targets, arguments.sanitizer, arguments.build_folder or ROOT / "target/fuzz" / arguments.sanitizer)
    if arguments.build:
        return
    if arguments.keep:
        for target in targets:
            keep(programs / target)
        return
    clean = [run(programs / target, arguments) for target in targets]
    if not all(clean):
        sys.exit(f"findings: see {ROOT / 'target/fuzz/artifacts'}")


if __name__ == "__main__":
    main()
