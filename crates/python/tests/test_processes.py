"""Fork, spawn, pickling, signals, and the end of the interpreter."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from distilbert_engine import Classifier

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def run(code: str, **options) -> subprocess.CompletedProcess:
    """Run Python code in a process of its own."""
    command = [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def classify(text: str):
    """Classify a text in a worker process, with a classifier of its own."""
    return Classifier(threads=1).classify(text)


def classify_with(pair):
    classifier, text = pair
    return classifier.classify(text)


def test_pickle_sends_the_path_and_the_settings(classifier):
    original = Classifier(precision="int8", threads=2, truncation="error")
    pickled = pickle.dumps(original)
    assert len(pickled) < 1000
    copy = pickle.loads(pickled)
    assert copy.info == original.info
    assert copy.classify("We won!") == original.classify("We won!")
    with pytest.raises(ValueError):
        copy.classify("too long " * 600)


def test_predictions_can_be_pickled(classifier):
    for text in ("We won!", "so " * 700):
        found = classifier.classify(text)
        assert pickle.loads(pickle.dumps(found)) == found


@pytest.mark.parametrize("threads", [1, 2])
def test_spawned_workers_give_the_same_bits(threads):
    classifier = Classifier(threads=threads)
    texts = ["We won!", "I miss you.", "What a shock!", "Noon."]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(classify_with, [(classifier, text) for text in texts])
    assert found == classifier.classify(texts)


@needs_fork
@pytest.mark.parametrize("threads", [1, 2])
def test_forked_child_classifies(threads):
    """Forks while other threads compute, which may hold any lock."""
    classifier = Classifier(threads=threads)
    expected = classifier.classify(["We won!"] * 8)
    stop = threading.Event()

    def compute():
        while not stop.is_set():
            classifier.classify(["some words " * 20] * 4)

    busy = [threading.Thread(target=compute) for _ in range(2)]
    for thread in busy:
        thread.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    signal.alarm(30)
                    code = 0 if classifier.classify(["We won!"] * 8) == expected else 2
                finally:
                    os._exit(code)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        for thread in busy:
            thread.join()
    assert classifier.classify(["We won!"] * 8) == expected


@needs_fork
def test_forked_pool_uses_the_parents_classifier(classifier):
    """Uses `multiprocessing` as most programs on Linux do."""
    global shared
    shared = classifier
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map(_classify_with_shared, ["We won!", "I miss you."])
    assert found == classifier.classify(["We won!", "I miss you."])


def _classify_with_shared(text):
    return shared.classify(text)


@pytest.mark.parametrize(
    "call",
    [
        "classifier.classify(['some words ' * 50] * 100_000)",
        "classifier.explain('some words ' * 200, method='integrated-gradients:10000')",
        "classifier.evaluate(['some words ' * 50] * 50_000, [0] * 50_000)",
        "classifier.classify_arrow(table, 'text')",
        "classifier.logits(ids)",
    ],
)
def test_ctrl_c_interrupts(call):
    prepare = ""
    if "arrow" in call:
        pytest.importorskip("pyarrow")
        prepare = "import pyarrow; table = pyarrow.table({'text': ['some words ' * 50] * 100_000})"
    if "logits" in call:
        pytest.importorskip("numpy")
        prepare = "import numpy; ids = numpy.full((50_000, 100), 2003)"
    code = f"""
        import os
        from distilbert_engine import Classifier
        classifier = Classifier(threads=1)
        classifier.classify("warm")
        {prepare}
        print("ready", flush=True)
        try:
            {call}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            classifier.classify("still works")
            print("works", flush=True)
            # What was interrupted may go on in the background.
            os._exit(0)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[0] == "interrupted\nworks\n"
    finally:
        process.kill()


def test_interpreter_ends_while_requests_wait():
    found = run(
        """
        import asyncio
        from distilbert_engine import Classifier
        classifier = Classifier(threads=1)
        async def run():
            tasks = [asyncio.create_task(classifier.classify_async("words " * 200)) for _ in range(50)]
            await tasks[0]
            import sys
            sys.stdout.write("one")
            sys.stdout.flush()
            raise SystemExit(3)
        asyncio.run(run())
        """
    )
    assert (found.returncode, found.stdout) == (3, "one"), found.stderr


def test_interpreter_ends_while_daemon_threads_compute():
    found = run(
        """
        import threading, time
        from distilbert_engine import Classifier
        classifier = Classifier(threads=2)
        def compute():
            while True:
                classifier.classify(["some words " * 20] * 50)
        threading.Thread(target=compute, daemon=True).start()
        time.sleep(0.3)
        print("end")
        """
    )
    assert (found.returncode, found.stdout) == (0, "end\n"), found.stderr


@pytest.mark.parametrize("model", ["tiny", "bundled"])
def test_classifiers_leave_nothing_behind(model, tiny_model):
    """Loads, uses and drops a thousand small models, and some of the size of the bundled one."""
    tiny = (str(tiny_model), 900, 10e6)
    # The limit is less than one model.
    folder, rest, limit = tiny if model == "tiny" else (None, 27, 30e6)
    found = run(
        f"""
        import asyncio, gc, os
        from distilbert_engine import Classifier

        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        def cycle(number):
            classifier = Classifier({folder!r}, precision="int8", threads=2)
            classifier.classify("We won!")
            if number % 2:
                asyncio.run(classifier.classify_async("We won!"))

        for number in range({100 if model == 'tiny' else 9}):
            cycle(number)
        gc.collect()
        before, threads = resident(), len(os.listdir("/proc/self/task"))
        for number in range({rest}):
            cycle(number)
        gc.collect()
        print(resident() - before, len(os.listdir("/proc/self/task")) - threads)
        """
    )
    assert found.returncode == 0, found.stderr
    grown, threads = map(int, found.stdout.split())
    print(f"{rest} classifiers leave {grown / 1e3:.0f} kB and {threads} threads")
    assert grown < limit
    assert threads <= 2
