#!/usr/bin/env python3
"""Writes evaluate.json: labeled predictions and scikit-learn's metrics of them.

    pip install scikit-learn==1.9.1 numpy==2.4.6
    cargo build --release
    GOEMOTIONS=path/to/goemotions python3 tests/reference/evaluate.py [--program PATH]

There are three data sets: the predictions of the bundled model for the development rows of GoEmotions that have one
label (true labels and probabilities, without the texts); a synthetic one with classes that are never true, never
predicted, or neither; and a synthetic multi-label one. Probabilities are float32, rounded so that many are equal, and
metrics are computed from them in float64.

The bootstrap uses NumPy's random numbers, so its intervals agree with others only within sampling error. The output is
deterministic.
"""

import argparse
import json
import os
import pathlib
import subprocess

import numpy as np
import sklearn
from sklearn import metrics

HERE = pathlib.Path(__file__).parent
RESAMPLES = 20_000
BINS = 15


def goemotions(program):
    folder = pathlib.Path(os.environ["GOEMOTIONS"])
    rows = [line.split("\t") for line in (folder / "dev.tsv").read_text().splitlines()]
    rows = [(text, int(label)) for text, label, _ in rows if "," not in label]
    texts = "".join(text + "\n" for text, _ in rows)
    answers = subprocess.run(
        [program, "classify", "--json"], input=texts, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    scores = [json.loads(answer)["scores"] for answer in answers]
    assert len(scores) == len(rows)
    labels = list(scores[0])
    names = (folder / "labels.txt").read_text().splitlines()
    assert [{"joy": "happiness"}.get(name, name) for name in names] == labels
    probabilities = np.round([list(score.values()) for score in scores], 5)
    return labels, [label for _, label in rows], probabilities


def absent_classes(rng):
    labels = ["never true", "neither", "b", "c", "never predicted", "Überraschung", "d", "e", "f", "g", "h & <i>"]
    true = rng.choice([2, 3, 4, 5, 6, 7, 8, 9, 10], size=300, p=[0.3, 0.2] + [0.5 / 7] * 7)
    logits = rng.normal(size=(300, 11)) + 2.5 * np.eye(11)[true]
    logits[:, [1, 4]] -= 9
    weights = np.exp(logits)
    probabilities = np.round(weights / weights.sum(axis=1, keepdims=True), 2)
    # Probabilities of 0 and 1, correct and wrong.
    probabilities[0] = np.eye(11)[true[0]]
    probabilities[1] = np.eye(11)[2 if true[1] != 2 else 3]
    return labels, true.tolist(), probabilities


def multi_label(rng):
    labels = [f"topic {number}" for number in range(8)] + ["a label with a rather long name"]
    chances = np.array([0.5, 0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.0, 0.1])
    true = rng.random((300, 9)) < chances
    logits = 3 * true - 1.5 + rng.normal(size=true.shape) * 1.2
    logits[:, 6] -= 9
    probabilities = np.round(1 / (1 + np.exp(-logits)), 2)
    return labels, [np.flatnonzero(row).tolist() for row in true], probabilities


def calibration(confidence, right):
    """Computes the expected calibration error (Naeini et al. 2015; Guo et al. 2017, equation 3)."""
    bins = np.maximum(np.ceil(confidence * BINS) - 1, 0).astype(int)
    rows, error = [], 0.0
    for one in range(BINS):
        inside = bins == one
        count = int(inside.sum())
        if count:
            mean, share = float(confidence[inside].mean()), float(right[inside].mean())
            error += count / len(bins) * abs(share - mean)
            rows.append([count, mean, share])
        else:
            rows.append([0, None, None])
    return {"bins": rows, "expected_error": error}


def bootstrap(rng, true, predicted):
    """Returns percentile intervals of accuracy and macro-F1; `true` and `predicted` are rows by labels."""
    right = (true == predicted).all(axis=1)
    accuracy, macro_f1 = [], []
    for _ in range(RESAMPLES):
        weights = np.bincount(rng.integers(len(true), size=len(true)), minlength=len(true))
        hits = weights @ (true & predicted)
        sizes = weights @ true.astype(int) + weights @ predicted.astype(int)
        f1 = np.divide(2 * hits, sizes, out=np.zeros(len(hits)), where=sizes > 0)
        accuracy.append(weights @ right / len(true))
        macro_f1.append(f1.mean())
    return [np.quantile(values, [0.025, 0.975]).tolist() for values in (accuracy, macro_f1)]


def case(name, labels, truth, probabilities, rng):
    scores = probabilities.astype(np.float32).astype(float)
    is_multi_label = isinstance(truth[0], list)
    ids = np.arange(len(labels))
    if is_multi_label:
        true = np.array([[label in row for label in ids] for row in truth])
        predicted = scores >= 0.5
        sets = true, predicted
        confusion = metrics.multilabel_confusion_matrix(true, predicted)
        losses = [
            metrics.log_loss(true[:, label], scores[:, label], labels=[0, 1]) for label in ids
        ]
        loss, top_k = float(np.mean(losses)), None
        reliability = calibration(scores.ravel(), true.ravel())
        averages = ["micro", "macro", "weighted", "samples"]
    else:
        true, predicted = np.array(truth), scores.argmax(axis=1)
        sets = np.eye(len(labels), dtype=bool)[true], np.eye(len(labels), dtype=bool)[predicted]
        confusion = metrics.confusion_matrix(true, predicted, labels=ids)
        loss = metrics.log_loss(true, scores, labels=ids)
        top_k = [metrics.top_k_accuracy_score(true, scores, k=k, labels=ids) for k in 1 + ids]
        reliability = calibration(scores.max(axis=1), predicted == true)
        averages = ["micro", "macro", "weighted"]

    def figures(average):
        found = metrics.precision_recall_fscore_support(
            true, predicted, labels=ids, average=average, zero_division=0
        )
        return [np.asarray(figure).tolist() for figure in found if figure is not None]

    def table(digits):
        return metrics.classification_report(
            true, predicted, labels=ids, target_names=labels, digits=digits, zero_division=0
        )

    return {
        "name": name,
        "problem_type": ("multi" if is_multi_label else "single") + "_label_classification",
        "labels": labels,
        "truth": truth,
        "scores": [[float(score) for score in row] for row in probabilities],
        "tables": {str(digits): table(digits) for digits in (2, 4, 15)},
        "classes": figures(None),
        "averages": {average: figures(average) for average in averages},
        "accuracy": metrics.accuracy_score(true, predicted),
        "confusion": confusion.tolist(),
        "log_loss": loss,
        "top_k": top_k,
        "calibration": reliability,
        "intervals": dict(zip(["accuracy", "macro_f1"], bootstrap(rng, *sets))),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default="target/release/distilbert")
    arguments = parser.parse_args()
    cases = [
        case("goemotions", *goemotions(arguments.program), np.random.default_rng(1)),
        case("absent classes", *absent_classes(np.random.default_rng(2)), np.random.default_rng(3)),
        case("multi-label", *multi_label(np.random.default_rng(4)), np.random.default_rng(5)),
    ]
    goldens = {
        "made_with": {"scikit-learn": sklearn.__version__, "numpy": np.__version__},
        "cases": cases,
    }
    text = json.dumps(goldens, ensure_ascii=False, separators=(",", ":"))
    (HERE / "evaluate.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
