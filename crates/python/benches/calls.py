"""Measure what calls from Python cost beside the same calls in Rust, on a quiet machine.

    cargo build --release --manifest-path benches/rust/Cargo.toml
    python benches/calls.py benches/rust/target/release/rust-calls

Both take turns, so that changes of the processor's clock fall on both. Differences and ratios are those of neighboring
measurements; their medians and quartiles are printed.
"""

import argparse
import statistics
import subprocess
import threading
import time

from distilbert_engine import BUNDLED_MODEL, Classifier

TEXT = "I can't believe that we really won this game today!!"


def median_seconds(call, calls):
    """Return the median duration of some calls."""
    found = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def spread(values, scale=1.0):
    """Return the median and the quartiles as text."""
    first, second, third = (value * scale for value in statistics.quantiles(values, n=4))
    return f"{second:.2f} (quartiles {first:.2f} to {third:.2f}, {len(values)} rounds)"


class Rust:
    """The program that makes the calls in Rust."""

    def __init__(self, program, precision, threads):
        command = [program, str(BUNDLED_MODEL), precision, str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def median_seconds(self, texts, calls):
        self.process.stdin.write(f"{texts} {calls}\n")
        return float(self.process.stdout.readline())


def compare_calls(arguments):
    """Compare single texts and lists."""
    for threads in arguments.threads:
        classifier = Classifier(precision=arguments.precision, threads=threads)
        rust = Rust(arguments.rust, arguments.precision, threads)
        print(classifier, classifier.info["instruction_set"])
        tokens = classifier.classify(TEXT).tokens
        rust.median_seconds(1, 50)
        added, base = [], []
        for _ in range(arguments.rounds):
            base.append(rust.median_seconds(1, 40))
            added.append(median_seconds(lambda: classifier.classify(TEXT), 40) - base[-1])
        print(f"  one text of {tokens} tokens in Rust: {spread(base, 1e6)} us")
        print(f"  Python adds {spread(added, 1e6)} us")

        texts = [f"{TEXT} {number}" for number in range(arguments.texts)]
        ratios, base = [], []
        for round in range(arguments.list_rounds):
            call = lambda: median_seconds(lambda: classifier.classify(texts), 1)  # noqa: E731
            # Whichever is first changes with the rounds.
            python = call() if round % 2 else None
            base.append(rust.median_seconds(len(texts), 1))
            ratios.append((python or call()) / base[-1])
        print(f"  list of {len(texts)} texts in Rust: {spread(base)} s")
        print(f"  Python takes {spread(ratios)} times as long")


def compare_threads(arguments):
    """Compare four threads that share a classifier with one."""
    classifier = Classifier(precision=arguments.precision, threads=1)
    few = [f"{TEXT} {number}" for number in range(200)]
    ratios = []

    def run(count):
        threads = [threading.Thread(target=classifier.classify, args=(few,)) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    for _ in range(arguments.rounds):
        ratios.append(4 * median_seconds(lambda: run(1), 1) / median_seconds(lambda: run(4), 1))
    print(f"four threads have {spread(ratios)} times the throughput of one")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rust", help="the program rust-calls")
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--list-rounds", type=int, default=5)
    arguments = parser.parse_args()
    compare_calls(arguments)
    compare_threads(arguments)


if __name__ == "__main__":
    main()
