#!/usr/bin/env python3
"""Measures what each engine's precision costs in accuracy; no time is compared.

    [GOEMOTIONS=FOLDER] python3 benches/peers/accuracy.py [--engines ...] [--classes ...] [--shapes ...] [--limit N]

Prints two tables: the errors of the logits of the generated model on the texts that run.py times, and the quality of the
bundled model on GoEmotions' development texts, each as a batch of one. The second needs the data set, whose folder
GOEMOTIONS names. NNCF calibrates on generated texts that aren't timed, and on texts of the training split.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import time

import environment

CLASSES = ["f32", "f16", "bf16", "int8", "int8-calibrated", "cascade"]
ENGINES = ["distilbert", "onnxruntime", "openvino", "pytorch"]
HEADINGS = ["engine", "accuracy %", "macro-F1 %", "label of f32 %", "mean logit error", "largest", "ms per text"]


@dataclasses.dataclass
class Quality:
    """An engine's results on the labeled texts. Agreement and errors are relative to Transformers in f32."""

    engine: str
    accuracy: float
    macro_f1: float
    agreement: float
    mean_error: float
    largest_error: float
    ms_per_text: float

    def cells(self):
        shares = [f"{100 * share:.2f}" for share in (self.accuracy, self.macro_f1, self.agreement)]
        errors = [f"{self.mean_error:.1e}", f"{self.largest_error:.1e}"]
        return [self.engine, *shares, *errors, f"{self.ms_per_text:.2f}"]


def on_timed_texts(chosen, shapes, threads):
    """Prints the errors of the generated model's logits."""
    import engine_process
    import logits
    import model
    import report
    from figures import Figure

    generated = model.generated()
    generated.make()
    expected = logits.reference(generated.folder, shapes)
    figures = []
    for engine in chosen:
        engine.prepare(generated)
        with engine_process.started(engine, generated.folder, threads) as worker:
            print_computes(worker)
            for shape in shapes:
                found, _ = logits.compute(worker, shape.ids(), logits.whole(shape))
                differences = logits.check(worker, shape, found, expected[shape.name])
                about = engine.name, worker.about["version"], engine.variant, worker.precision_class, threads
                figures.append(Figure(*about, shape.name, float(differences.mean()), float(differences.max())))
    report.print_errors(figures)
    return figures


def on_labeled_texts(chosen, threads, limit=None):
    """Prints the quality of the bundled model on GoEmotions' development texts."""
    import goemotions
    import logits
    import model
    import report

    if goemotions.folder() is None:
        print(f"\naccuracy on the bundled model: skipped: {goemotions.VARIABLE} doesn't name the data set's folder")
        return []
    bundled = model.bundled()
    bundled.make()
    names = list(json.loads((bundled.folder / "config.json").read_text())["id2label"].values())
    assert names == goemotions.label_names(), "the model's labels differ from those of the data set"
    texts, truth = goemotions.labeled_texts()
    texts, truth = texts[:limit], truth[:limit]
    rows = goemotions.token_ids(model.BUNDLED, texts)
    expected, _ = single(logits.REFERENCE, bundled.folder, threads, rows)
    qualities = []
    for engine in chosen:
        engine.prepare(bundled)
        started = time.perf_counter()
        found, milliseconds = single(engine, bundled.folder, threads, rows)
        qualities.append(quality(engine, found, expected, truth, milliseconds / len(rows)))
        print(f"  {engine.label}: {time.perf_counter() - started:.0f} s", flush=True)
    print(
        f"\nThe bundled model on {len(rows)} development texts of GoEmotions, one at a time with {report.threads_text([threads])}."
        " Agreement and errors against Transformers in f32. Times aren't interleaved\n"
    )
    report.print_table(HEADINGS, [quality.cells() for quality in qualities])
    return qualities


def single(engine, folder, threads, rows):
    """Returns the logits of each row as a batch of one, and the sum of their milliseconds."""
    import numpy as np

    import engine_process
    import logits

    by_length = {}
    for index, row in enumerate(rows):
        by_length.setdefault(len(row), []).append(index)
    found, total = None, 0.0
    with engine_process.started(engine, folder, threads) as worker:
        print_computes(worker)
        # Engines that compile a shape do it once per length.
        for indices in by_length.values():
            batch = [rows[index] for index in indices]
            alone = [[index] for index in range(len(batch))]
            answer, milliseconds = logits.compute(worker, batch, alone)
            found = np.empty((len(rows), answer.shape[1])) if found is None else found
            found[indices] = answer
            total += sum(milliseconds)
    return found, total


def print_computes(worker):
    if "computes" in worker.about:
        print(f"  {worker.engine.label}: {worker.about['computes']}")


def quality(engine, found, expected, truth, milliseconds):
    import numpy as np

    labels, truth = found.argmax(axis=1), np.array(truth)
    differences = np.abs(found - expected)
    scores = []
    for label in range(found.shape[1]):
        right = np.sum((labels == label) & (truth == label))
        scores.append(2 * right / max(1, np.sum(labels == label) + np.sum(truth == label)))
    return Quality(
        engine.label,
        float((labels == truth).mean()),
        float(np.mean(scores)),
        float((labels == expected.argmax(axis=1)).mean()),
        float(differences.mean()),
        float(differences.max()),
        milliseconds,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", default=",".join(ENGINES), help="%(default)s by default")
    parser.add_argument("--classes", default=",".join(CLASSES), help="%(default)s by default")
    parser.add_argument("--shapes", default="1x8,1x16,1x32,1x64,1x128,1x512,8x128,ragged32", help="%(default)s by default")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="one per core by default")
    parser.add_argument("--limit", type=int, help="only the first LIMIT development texts")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also write the results to FILE")
    parser.add_argument("--venv", type=pathlib.Path, default=environment.DEFAULT_FOLDER, help="virtual environment to use or create")
    arguments = parser.parse_args()
    environment.enter(arguments.venv)

    # These imports need the environment.
    import engines
    import model
    import report

    report.print_machine()
    chosen = engines.chosen(arguments.engines.split(","), arguments.classes.split(","))
    shapes = [model.Shape(name) for name in arguments.shapes.split(",") if name]
    errors = on_timed_texts(chosen, shapes, arguments.threads) if shapes else []
    qualities = on_labeled_texts(chosen, arguments.threads, arguments.limit)
    if arguments.json:
        tables = {"errors": errors, "quality": qualities}
        rows = {name: [dataclasses.asdict(row) for row in table] for name, table in tables.items()}
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
