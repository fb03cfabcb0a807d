"""Runs the engines in turn and makes figures of their times."""

import contextlib
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np

OURS = "distilbert"
TOLERANCE = 1e-3
# A turn lasts about this long, and has at least so many repeats.
TURN_MS, LEAST_REPEATS = 300, 3
# Between turns, for thread pools that spin to calm down.
PAUSE_S = 0.05
# Longer runs than this need no warming up in each turn.
LONG_MS = 100


class Worker:
    """An engine's process."""

    def __init__(self, engine, folder, threads):
        self.engine = engine
        self.process = subprocess.Popen(
            engine.command(folder, threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.about = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"error: {self.engine.NAME} ended")
        return json.loads(line)

    def run(self, rows, repeats, warmup):
        request = {"rows": rows, "repeats": repeats, "warmup": warmup}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.read()

    def cpu_seconds(self):
        """Processor time used so far by all threads; 0 where /proc has no such figure."""
        try:
            stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:
            return 0.0
        # The fields behind the program's name, which may hold spaces: 11 is user, 12 system time.
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        # It ends with its input, or is made to.
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclasses.dataclass
class Figure:
    """One engine's times on one shape: a figure for each round, in milliseconds."""

    engine: str
    version: str
    precision: str
    threads: int
    shape: str
    rounds: list[float] = dataclasses.field(default_factory=list)
    # Its median ÷ distilbert's: above 1 where distilbert is faster.
    ratio: float | None = None
    ratio_by_round: float | None = None

    @property
    def median_ms(self):
        return statistics.median(self.rounds)

    @property
    def min_ms(self):
        return min(self.rounds)

    @property
    def iqr_ms(self):
        if len(self.rounds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.rounds, n=4, method="inclusive")
        return high - low

    def compare(self, ours):
        self.ratio = self.median_ms / ours.median_ms
        self.ratio_by_round = statistics.median(a / b for a, b in zip(self.rounds, ours.rounds))

    def as_row(self):
        row = dataclasses.asdict(self)
        del row["rounds"]
        return row | {"median_ms": self.median_ms, "min_ms": self.min_ms, "iqr_ms": self.iqr_ms}


def compare(engines, folder, threads, shapes, rounds):
    """The figures of all engines on all shapes with so many threads."""
    print(f"\n{threads} {'thread' if threads == 1 else 'threads'}", flush=True)
    workers = []
    try:
        for engine in engines:
            workers.append(Worker(engine, folder, threads))
        idle = IdleTime(workers)
        figures = []
        for shape in shapes:
            figures += compare_shape(workers, threads, shape, rounds, idle)
        idle.report()
        return figures
    finally:
        for worker in workers:
            worker.close()


def compare_shape(workers, threads, shape, rounds, idle):
    rows = shape.ids()
    repeats = check_and_calibrate(workers, shape, rows)
    figures = {
        worker: Figure(
            worker.engine.NAME,
            worker.about["version"],
            worker.engine.PRECISION,
            threads,
            shape.name,
        )
        for worker in workers
    }
    for index in range(rounds):
        # Every other round backwards, so that none always follows the same engine.
        for worker in workers if index % 2 == 0 else reversed(workers):
            time.sleep(PAUSE_S)
            with idle.during(worker):
                answer = worker.run(rows, *repeats[worker])
            figures[worker].rounds.append(statistics.median(answer["milliseconds"]))
    figures = list(figures.values())
    ours = next((figure for figure in figures if figure.engine == OURS), None)
    for figure in figures:
        if ours and figure is not ours:
            figure.compare(ours)
    return figures


def check_and_calibrate(workers, shape, rows):
    """Checks that the logits agree; gives each engine's repeats and warm-up for a turn."""
    answers = {worker: worker.run(rows, repeats=2, warmup=2) for worker in workers}
    logits = np.array([answer["logits"] for answer in answers.values()], np.float64)
    difference = np.ptp(logits, axis=0).max()
    print(f"  {shape.name}: {logits[0].size} logits, largest difference {difference:.1e}", flush=True)
    # Written so that a logit that is no number fails too.
    if not difference <= TOLERANCE:
        sys.exit(f"error: the engines differ by more than {TOLERANCE} on {shape.name}")
    return {worker: turn(min(answer["milliseconds"])) for worker, answer in answers.items()}


def turn(milliseconds):
    """Repeats and warm-up of a turn for an engine that takes so long."""
    repeats = max(LEAST_REPEATS, round(TURN_MS / milliseconds))
    return repeats, 0 if milliseconds > LONG_MS else 1


class IdleTime:
    """Processor time that engines use while another has its turn: it should be none."""

    def __init__(self, workers):
        self.workers = workers
        self.used = 0.0
        self.elapsed = 0.0

    @contextlib.contextmanager
    def during(self, busy):
        """Counts what all but `busy` use."""
        waiting = [worker for worker in self.workers if worker is not busy]
        start, used = time.perf_counter(), sum(worker.cpu_seconds() for worker in waiting)
        yield
        self.elapsed += time.perf_counter() - start
        self.used += sum(worker.cpu_seconds() for worker in waiting) - used

    def report(self):
        if self.elapsed:
            share = self.used / self.elapsed
            print(f"  waiting engines used {share:.1%} of a core while another was timed")
