"""The process of an engine in Python, and what every engine's process speaks.

    worker.py MODULE FOLDER THREADS

One JSON object a line. It begins with {"version": "…"} once the model is loaded. Then a request, a
line on standard input,

    {"rows": [[ids…]…], "repeats": n, "warmup": w}

runs the rows w times unmeasured, then n times measured, and is answered by

    {"logits": […], "milliseconds": […]}

with the last run's logits, row-major, and the time of each measured run, from ready inputs to
logits.
"""

import importlib
import json
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent


def command(module, folder, threads):
    """Starts this file for an engine's module."""
    return [sys.executable, str(HERE / "worker.py"), module, str(folder), str(threads)]


def padded(rows):
    """Ids and mask, [rows, longest], as Hugging Face's models take them."""
    import numpy as np

    shape = len(rows), max(map(len, rows))
    ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def serve(load, folder, threads):
    """Answers requests until standard input ends.

    `load(folder, threads)` gives the engine's version and a function `prepare(inputs)`, which gives
    a function that computes the logits of these inputs.
    """
    import numpy as np

    answers = sys.stdout
    sys.stdout = sys.stderr  # What an engine prints must not get between the answers.
    version, prepare = load(folder, threads)
    print(json.dumps({"version": version}), file=answers, flush=True)
    rows, run = None, None
    for line in sys.stdin:
        request = json.loads(line)
        if request["rows"] != rows:
            rows = request["rows"]
            run = prepare(padded(rows))
        milliseconds = []
        for _ in range(request["warmup"] + request["repeats"]):
            start = time.perf_counter()
            logits = run()
            milliseconds.append((time.perf_counter() - start) * 1e3)
        answer = {
            "logits": np.asarray(logits, np.float64).ravel().tolist(),
            "milliseconds": milliseconds[request["warmup"] :],
        }
        print(json.dumps(answer), file=answers, flush=True)


def main():
    module, folder, threads = sys.argv[1:]
    engine = importlib.import_module(f"engines.{module}")
    serve(engine.load, pathlib.Path(folder), int(threads))


if __name__ == "__main__":
    main()
