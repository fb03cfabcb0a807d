"""Measure what calls from Python cost beside the same calls in Rust, on a quiet machine.

    python benches/calls.py
    python benches/calls.py --model path/to/a/tiny/model --rounds 15

`distilbert bench`, which the wheel contains, makes the calls in Rust, with the same texts. Both take turns, so that changes
of the processor's clock fall on both, and differences are those of neighboring measurements. What Python adds doesn't
depend on the model, so that a tiny one shows it best.
"""

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time

from distilbert_engine import BUNDLED_MODEL, Classifier

#: The texts of `distilbert bench`.
ENGLISH = (
    "I had been looking forward to this for weeks, and when the parcel came at last the box was open and half of it "
    "was missing. Nobody answers the phone, my mails come back"
)
#: Tokens of the texts of a batch in `distilbert bench`.
BATCH_TOKENS = 32


def text_of(classifier, tokens):
    """Return the beginning of the text that has some number of tokens."""
    words = ENGLISH.split()
    for count in range(1, len(words)):
        text = " ".join(words[:count]) + " "
        if classifier.classify(text).tokens >= tokens:
            return text
    raise ValueError(tokens)


def median_seconds(call, seconds):
    """Return the median duration of calls, made for a while after one to warm up."""
    call()
    found, begin = [], time.perf_counter()
    while len(found) < 5 or time.perf_counter() < begin + seconds:
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def spread(values, scale=1.0, digits=2):
    """Return the median and the quartiles as text."""
    first, second, third = (f"{value * scale:.{digits}f}" for value in statistics.quantiles(values, n=4))
    return f"{second} (quartiles {first} to {third}, {len(values)} rounds)"


def rust(arguments, threads):
    """Return the measurements of the program."""
    command = [sys.executable, "-m", "distilbert_engine", "bench", "--json", "--model", str(arguments.model)]
    options = ["--precision", arguments.precision, "--threads", str(threads), "--seconds", str(arguments.seconds)]
    found = json.loads(subprocess.run([*command, *options], capture_output=True, check=True).stdout)
    return found["precisions"][0]


def compare_calls(arguments, threads):
    """Compare single texts and a list."""
    classifier = Classifier(arguments.model, precision=arguments.precision, threads=threads)
    print(classifier, classifier.info["instruction_set"])
    added, single, ratios, lists = {8: [], 32: []}, {8: [], 32: []}, [], []
    texts = [text_of(classifier, BATCH_TOKENS)] * arguments.texts
    for _ in range(arguments.rounds):
        measured = rust(arguments, threads)
        for tokens, latency in zip(added, measured["latency"]):
            text = text_of(classifier, tokens)
            python = median_seconds(lambda: classifier.classify(text), arguments.seconds)  # noqa: B023
            single[tokens].append(latency["median_ms"] / 1e3)
            added[tokens].append(python - single[tokens][-1])
        begin = time.perf_counter()
        classifier.classify(texts)
        python = (time.perf_counter() - begin) / len(texts)
        speeds = [one["texts_per_second"] for one in measured["throughput"] if one["batch"] == 512]
        lists.append(1 / speeds[0])
        ratios.append(python / lists[-1])
    for tokens, base in single.items():
        print(f"  a text of {tokens} tokens in Rust: {spread(base, 1e6, 1)} us")
        print(f"    Python adds {spread(added[tokens], 1e6, 1)} us")
    print(f"  a text of {BATCH_TOKENS} tokens in a batch in Rust: {spread(lists, 1e6, 1)} us")
    print(f"    a list of {len(texts)} in Python takes {spread(ratios, digits=3)} times as long")


def compare_threads(arguments):
    """Compare four threads that share a classifier with one."""
    classifier = Classifier(arguments.model, precision=arguments.precision, threads=1)
    texts = [text_of(classifier, 16)] * 1000
    ratios = []

    def run(count):
        threads = [threading.Thread(target=classifier.classify, args=(texts,)) for _ in range(count)]
        begin = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - begin

    run(1)
    for _ in range(arguments.rounds):
        ratios.append(4 * run(1) / run(4))
    print(f"four threads have {spread(ratios)} times the throughput of one")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default=BUNDLED_MODEL)
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a measurement in each round")
    arguments = parser.parse_args()
    for threads in arguments.threads:
        compare_calls(arguments, threads)
    compare_threads(arguments)


if __name__ == "__main__":
    main()
