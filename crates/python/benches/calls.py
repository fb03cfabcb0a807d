"""Measure the overhead of calls from Python, on a quiet machine.

`distilbert bench` measures the same work without Python.
"""

import argparse
import statistics
import threading
import time

from distilbert_engine import Classifier

TEXT = "I can't believe that we really won this game today!!"


def seconds(call, repeats):
    """Return the fastest of some runs."""
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found), statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--texts", type=int, default=10_000)
    arguments = parser.parse_args()

    classifier = Classifier(precision=arguments.precision, threads=1)
    print(classifier, classifier.info["instruction_set"])
    print(f"one text of {classifier.classify(TEXT).tokens} tokens")
    least, median = seconds(lambda: classifier.classify(TEXT), 500)
    print(f"  {least * 1e6:.1f} us at least, {median * 1e6:.1f} us in the median")

    texts = [f"{TEXT} {number}" for number in range(arguments.texts)]
    whole = time.perf_counter()
    classifier.classify(texts)
    print(f"{len(texts)} texts in one call: {time.perf_counter() - whole:.3f} s")

    few = texts[:500]
    one, _ = seconds(lambda: classifier.classify(few), 3)

    def run_threads():
        threads = [threading.Thread(target=classifier.classify, args=(few,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    four, _ = seconds(run_threads, 3)
    print(f"four threads have {4 * one / four:.2f} times the throughput of one")


if __name__ == "__main__":
    main()
