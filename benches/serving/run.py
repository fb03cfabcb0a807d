#!/usr/bin/env python3
"""Compares `distilbert serve` with other servers on one model and the same texts, and checks that their answers agree.

    [GOEMOTIONS=FOLDER] python3 benches/serving/run.py [--quick] [--json FILE] [--minutes M]
                        [--model emotion|base] [--servers ...] [--precisions ...] [--rounds N]

Missing Python packages are installed into benches/serving/.venv, and infinity-emb, which needs older ones, into
benches/serving/.venv-infinity. Cargo must be on the path. README.md describes the method.
"""

import argparse
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import venv

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "peers"))

import environment  # noqa: E402
import processor  # noqa: E402

SERVERS = ["distilbert", "fastapi", "litserve", "infinity"]
ROUNDS, QUICK_ROUNDS = 4, 1
TURN_SECONDS, QUICK_TURN_SECONDS, SHORTEST_TURN_SECONDS = 4.0, 1.0, 0.5
# Time that starting the driver takes in each turn.
TURN_OVERHEAD = 0.1
WARM_UP_SECONDS = 0.5
CHECKED_TEXTS = 200


def comma_separated(text):
    return [part for part in text.split(",") if part]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of turns of a second")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also write the figures to FILE")
    parser.add_argument("--minutes", type=float, help="time for the whole run once everything is built; no limit by default")
    parser.add_argument("--model", choices=["emotion", "base"], default="emotion", help="the bundled model (the default) or one of 6x768")
    parser.add_argument("--servers", type=comma_separated, default=SERVERS, help=f"any of {','.join(SERVERS)}; all by default")
    parser.add_argument("--precisions", type=comma_separated, default=["f32", "int8"], help="f32,int8 by default")
    parser.add_argument("--policies", type=comma_separated, help="policies of this server; all by default")
    parser.add_argument("--rounds", type=int, help=f"{ROUNDS} by default, {QUICK_ROUNDS} with --quick")
    parser.add_argument("--venv", type=pathlib.Path, default=HERE / ".venv", help="virtual environment to use or create")
    parser.add_argument("--infinity-venv", type=pathlib.Path, default=HERE / ".venv-infinity", help="that of infinity-emb")
    arguments = parser.parse_args()
    unknown = set(arguments.servers) - set(SERVERS)
    if unknown:
        parser.error(f"no such server: {', '.join(sorted(unknown))}")
    arguments.rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    return arguments


def checkpoint(name):
    """Returns the folder of a model with its tokenizer, and creates the peers' graphs of it."""
    import model

    made = {"emotion": model.bundled, "base": model.generated}[name]()
    made.make()
    for file in ("tokenizer.json", "vocab.txt", "tokenizer_config.json"):
        shutil.copyfile(model.BUNDLED / file, made.folder / file)
    return made


def infinity_python(folder):
    """Returns the interpreter that has infinity-emb, or None if it can't be installed."""
    python = folder / "bin/python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    if not (folder / "bin/infinity_emb").exists():
        requirements = HERE / "requirements-infinity.txt"
        print(f"installing infinity-emb into {folder}", file=sys.stderr)
        if subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements]).returncode != 0:
            print("infinity: skipped: it can't be installed")
            return None
    return python


def chosen(arguments, made):
    """Builds or installs what the servers need and returns them in every configuration."""
    import systems
    from engines import onnxruntime_engine, rust

    program = rust.build(rust.ROOT, "--package", "distilbert-cli", "--features", "serve", target="distilbert")
    python = infinity_python(arguments.infinity_venv) if "infinity" in arguments.servers else None
    found = []
    for precision in arguments.precisions:
        if "distilbert" in arguments.servers:
            policies = arguments.policies or systems.POLICIES
            found += [systems.ours(program, made.folder, precision, policy) for policy in policies]
        for name in ("fastapi", "litserve"):
            if name in arguments.servers:
                onnxruntime_engine.prepare(made, precision)
                found.append(systems.service(name, made.folder, precision))
        if precision == "f32" and python:
            found.append(systems.infinity(python, made.folder))
    return found


def measure(driver, servers, arguments):
    """Loads the servers in turn, and in the reverse order in every other round."""
    import loads

    budget = Budget(arguments, len(servers) * arguments.rounds * (len(loads.CLOSED) + len(loads.OPEN)))
    # The open loops need the capacity that the closed ones show.
    for kinds in (loads.CLOSED, loads.OPEN):
        for number in range(arguments.rounds):
            for load in kinds:
                for server in servers if number % 2 == 0 else reversed(servers):
                    with server.awake():
                        driver.turn(server, load, budget.turn(), number)
    return driver.figures


class Budget:
    """The time that is left for turns."""

    def __init__(self, arguments, turns):
        self.turns = turns
        self.longest = QUICK_TURN_SECONDS if arguments.quick else TURN_SECONDS
        self.end = arguments.started + 60 * arguments.minutes if arguments.minutes else None

    def turn(self):
        """Returns the seconds of the next turn."""
        seconds = self.longest
        if self.end:
            share = (self.end - time.monotonic()) / self.turns - TURN_OVERHEAD
            seconds = max(SHORTEST_TURN_SECONDS, min(seconds, share))
        self.turns -= 1
        return seconds


def main():
    arguments = parse_arguments()
    sys.stdout.reconfigure(line_buffering=True)
    # So that a run that is ended stops its servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    environment.enter(arguments.venv, HERE / "requirements.txt")

    # These imports need the environment.
    import answers
    import loads
    import report
    import systems
    import tables
    import texts
    from engines import rust

    report.print_machine()
    print("text-embeddings-inference is not compared: it is distributed as container images")
    made = checkpoint(arguments.model)
    found = chosen(arguments, made)
    program = rust.build(rust.ROOT, "--package", "load-driver", target="load_driver")
    driver = loads.Driver(program, texts.texts())
    arguments.started = time.monotonic()
    with open(made.folder / "servers.log", "wb") as log, systems.started(found, log) as servers:
        checked = answers.check(servers, driver.texts[:CHECKED_TEXTS])
        # Each server is stopped outside of its turn, because some poll while they are idle.
        for server in servers:
            with server.awake():
                driver.warm_up(server, WARM_UP_SECONDS)
        figures = measure(driver, servers, arguments)
        memory = tables.memory(servers)
    tables.print_all(figures, memory, checked)
    if arguments.json:
        rows = [figure.as_row() for figure in figures.values()]
        document = {"cpu": processor.description(), "model": arguments.model, "measured": rows, "memory": memory}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
