#!/usr/bin/env python3
"""Compares the speed of this engine and other CPU engines on the same weights, and checks that their logits agree.

    python3 benches/peers/run.py [--quick] [--json FILE] [--shapes 1x128,...]
                                 [--threads 1,2] [--engines ...] [--classes ...]
                                 [--rounds N] [--loads N] [--minutes M] [--model DIR]

If the environment variable GOEMOTIONS names the folder of that data set, the accuracy of the bundled model in each engine
is measured as well, unless --quick or --model is given; accuracy.py measures it alone.

Missing packages of requirements.txt are installed into a virtual environment first, benches/peers/.venv by default. An
interpreter that already has all packages is used directly. Cargo must be on the path. README.md describes the method.
"""

import argparse
import json
import os
import pathlib
import re

import environment
import processor

SHAPES = ["1x8", "1x16", "1x32", "1x64", "1x128", "1x256", "1x512", "8x128", "ragged32"]
QUICK_SHAPES = ["1x8", "1x32", "1x128"]
ROUNDS, QUICK_ROUNDS = 15, 3
LOADS, QUICK_LOADS = 5, 1


def comma_separated(text):
    return [part for part in text.split(",") if part]


def shapes(text):
    names = comma_separated(text)
    for name in names:
        if name not in SHAPES and not re.fullmatch(r"[1-9]\d*x[1-9]\d*", name):
            raise argparse.ArgumentTypeError(f"{name} is not a shape such as 1x128 or ragged32")
    return names


def counts(text):
    return [int(part) for part in comma_separated(text)]


def parse_arguments(engine_names, classes, default_classes):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer shapes and rounds: under three minutes")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also write the results to FILE")
    parser.add_argument("--shapes", type=shapes, help=f"rows x tokens; {','.join(SHAPES)} by default")
    parser.add_argument("--threads", type=counts, help="1,2 by default, limited to the number of cores")
    parser.add_argument("--engines", type=comma_separated, help=f"any of {','.join(engine_names)}; all by default")
    parser.add_argument(
        "--classes", type=comma_separated, default=default_classes, help=f"any of {','.join(classes)}; all but cascade by default"
    )
    parser.add_argument("--rounds", type=int, help=f"{ROUNDS} by default, {QUICK_ROUNDS} with --quick")
    parser.add_argument("--loads", type=int, help=f"{LOADS} by default, {QUICK_LOADS} with --quick; 0 measures none")
    parser.add_argument("--minutes", type=float, help="minutes for all rounds, but at least three rounds per shape; no limit by default")
    parser.add_argument("--model", type=pathlib.Path, metavar="DIR", help="a checkpoint with the vocabulary of the bundled model; one of DistilBERT-base's size with generated weights by default")
    parser.add_argument("--venv", type=pathlib.Path, default=environment.DEFAULT_FOLDER, help="virtual environment to use or create")
    arguments = parser.parse_args()

    arguments.shapes = arguments.shapes or (QUICK_SHAPES if arguments.quick else SHAPES)
    arguments.rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    arguments.threads = arguments.threads or [n for n in (1, 2) if n <= (os.cpu_count() or 1)]
    arguments.engines = arguments.engines or list(engine_names)
    if arguments.loads is None:
        arguments.loads = QUICK_LOADS if arguments.quick else LOADS
    for what, named, known in (
        ("engine", arguments.engines, engine_names),
        ("class", arguments.classes, classes),
    ):
        unknown = set(named) - set(known)
        if unknown:
            parser.error(f"no such {what}: {', '.join(sorted(unknown))}")
    return arguments


def main():
    import engines

    arguments = parse_arguments(engines.BY_NAME, engines.CLASSES, engines.DEFAULT_CLASSES)
    environment.enter(arguments.venv)

    # These imports need the environment.
    import accuracy
    import logits
    import measure
    import model
    import report

    report.print_machine()
    timed = model.checkpoint(arguments.model) if arguments.model else model.generated()
    timed.make()
    chosen = engines.chosen(arguments.engines, arguments.classes)
    for engine in chosen:
        engine.prepare(timed)
    shapes = [model.Shape(name) for name in arguments.shapes]
    budget = measure.Budget(arguments.minutes, shapes, arguments.threads)
    plan = measure.Plan(shapes, arguments.rounds, arguments.loads, budget)
    expected = logits.reference(timed.folder, plan.shapes)
    figures, loads = [], []
    for threads in arguments.threads:
        new_figures, new_loads = measure.compare(chosen, timed.folder, threads, plan, expected)
        figures += new_figures
        loads += new_loads
        if arguments.json:
            # After each, so that an interrupted run has something to show.
            write_json(arguments.json, figures, loads)
    report.print_all(figures, loads)
    if not arguments.quick and not arguments.model:
        accuracy.on_labeled_texts([engine for engine in chosen if engine.name in accuracy.ENGINES], max(arguments.threads))


def write_json(path, figures, loads):
    rows = [measured.as_row() for measured in [*figures, *loads]]
    path.write_text(json.dumps({"cpu": processor.description(), "measured": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
