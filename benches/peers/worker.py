"""Process of a Python engine, and the protocol of every engine's process.

    worker.py MODULE FOLDER THREADS VARIANT

Messages are JSON objects, one per line. The process first writes {"version": "…", "load_ms": …} once it has loaded the
model and answered a first text of eight tokens; the time starts with only the engine's library in memory and ends with
that answer. An engine that chooses its own precision adds {"class": "…", "computes": "…"}, the class that it runs in
and a description of what it computes with. Then a request, a line on standard input,

    {"batches": [[[ids…]…]…], "repeats": n, "warmup": w}

runs the batches one after the other, w times untimed and then n times timed, and is answered by

    {"logits": […], "milliseconds": […]}

with the logits of the last run, row-major, and the time of each timed run, from prepared inputs to
logits.
"""

import collections.abc
import dataclasses
import importlib
import json
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent


SEARCH_RUNS = 4
FIRST_TEXT = [101, 2023, 2003, 1037, 3978, 3793, 1012, 102]


@dataclasses.dataclass
class Loaded:
    """A loaded engine."""

    version: str
    # Takes inputs and returns a function that computes their logits.
    prepare: collections.abc.Callable
    # Other functions of this kind, one of which may be faster for some inputs.
    alternatives: list[collections.abc.Callable] = dataclasses.field(default_factory=list)
    # Returns what the first message says beyond the version and the time.
    describe: collections.abc.Callable = dict


def command(module, folder, threads, variant):
    """Returns the command that runs this file for an engine's module."""
    return [sys.executable, str(HERE / "worker.py"), module, str(folder), str(threads), variant]


def padded(rows):
    """Returns ids and mask, [rows, longest], as Hugging Face's models expect them."""
    import numpy as np

    shape = len(rows), max(map(len, rows))
    ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def serve(load, folder, threads, variant):
    """Answers requests until standard input ends. `load(folder, threads, variant)` returns a Loaded."""
    import numpy as np

    answers = sys.stdout
    sys.stdout = sys.stderr  # Output of the engine must not mix with the answers.
    start = time.perf_counter()
    engine = load(folder, threads, variant)
    engine.prepare(padded([FIRST_TEXT]))()
    load_ms = (time.perf_counter() - start) * 1e3
    about = {"version": engine.version, "load_ms": load_ms} | engine.describe()
    print(json.dumps(about), file=answers, flush=True)
    batches, runs = None, None
    for line in sys.stdin:
        request = json.loads(line)
        if request["batches"] != batches:
            batches = request["batches"]
            # Texts that are only evaluated aren't worth the search.
            prepares = [engine.prepare, *(engine.alternatives if request["repeats"] > 1 else [])]
            runs = fastest([[prepare(padded(rows)) for rows in batches] for prepare in prepares])
        milliseconds = []
        for _ in range(request["warmup"] + request["repeats"]):
            start = time.perf_counter()
            logits = [run() for run in runs]
            milliseconds.append((time.perf_counter() - start) * 1e3)
        answer = {
            "logits": np.concatenate(logits).astype(np.float64).ravel().tolist(),
            "milliseconds": milliseconds[request["warmup"] :],
        }
        print(json.dumps(answer), file=answers, flush=True)


def fastest(candidates):
    """Returns the list of functions that takes the least time in one of four alternating runs."""
    if len(candidates) == 1:
        return candidates[0]
    times = [[] for _ in candidates]
    for _ in range(SEARCH_RUNS):
        for runs, seconds in zip(candidates, times):
            start = time.perf_counter()
            for run in runs:
                run()
            seconds.append(time.perf_counter() - start)
    return candidates[min(range(len(candidates)), key=lambda index: min(times[index]))]


def main():
    module, folder, threads, variant = sys.argv[1:]
    engine = importlib.import_module(f"engines.{module}")
    for library in engine.LIBRARIES:
        importlib.import_module(library)
    serve(engine.load, pathlib.Path(folder), int(threads), variant)


if __name__ == "__main__":
    main()
