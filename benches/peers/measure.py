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
# A turn lasts about this long, and has at least so many repeats.
TURN_MS, LEAST_REPEATS = 300, 3
# Between turns, for thread pools that spin to calm down.
PAUSE_S = 0.05
# Longer runs than this need no warming up in each turn.
LONG_MS = 100
# Texts of a ragged batch that go together if that is faster for an engine that pads.
SORTED_ROWS = 8


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
            sys.exit(f"error: {self.engine.name} {self.engine.precision} ended")
        return json.loads(line)

    def run(self, batches, repeats, warmup):
        request = {"batches": batches, "repeats": repeats, "warmup": warmup}
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

    def peak_mib(self):
        """The most memory that it has had so far; None where /proc has no such figure."""
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
        return None

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
    # Of a peer: its median ÷ distilbert's of the same precision. Of distilbert: the best peer's ÷ its
    # own; for f16 that is the best f32 peer. Either way above 1 where distilbert is faster.
    ratio: float | None = None
    is_best_peer: bool = False

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

    def as_row(self):
        row = dataclasses.asdict(self)
        del row["rounds"]
        return row | {"median_ms": self.median_ms, "min_ms": self.min_ms, "iqr_ms": self.iqr_ms}


def set_ratios(figures):
    """Compares the figures of one shape."""
    for ours in (figure for figure in figures if figure.engine == OURS):
        precision = "f32" if ours.precision == "f16" else ours.precision
        peers = [f for f in figures if f.engine != OURS and f.precision == precision]
        if not peers:
            continue
        best = min(peers, key=lambda figure: figure.median_ms)
        best.is_best_peer = True
        ours.ratio = best.median_ms / ours.median_ms
        if ours.precision == precision:
            for peer in peers:
                peer.ratio = peer.median_ms / ours.median_ms


@dataclasses.dataclass
class Load:
    """What it takes an engine to load the model and answer a first text of eight tokens."""

    engine: str
    precision: str
    threads: int
    load_ms: list[float]
    loaded_mib: float | None
    disk_mib: float
    # After all shapes.
    peak_mib: float | None = None

    def as_row(self):
        times = {"median_ms": statistics.median(self.load_ms), "min_ms": min(self.load_ms)}
        row = dataclasses.asdict(self) | times | {"shape": "load"}
        del row["load_ms"]
        return row


def compare(engines, folder, threads, shapes, rounds, loads):
    """The figures of all engines on all shapes with so many threads, and of `loads` loads."""
    print(f"\n{threads} {'thread' if threads == 1 else 'threads'}", flush=True)
    workers = []
    try:
        loading = [load(engine, folder, threads, loads) for engine in engines]
        for engine, measured in zip(engines, loading):
            worker = Worker(engine, folder, threads)
            measured.loaded_mib = worker.peak_mib()
            workers.append(worker)
        idle = IdleTime(workers)
        figures = []
        for shape in shapes:
            figures += compare_shape(workers, threads, shape, rounds, idle)
        idle.report()
        for worker, measured in zip(workers, loading):
            measured.peak_mib = worker.peak_mib()
        return figures, loading
    finally:
        for worker in workers:
            worker.close()


def load(engine, folder, threads, times):
    """Loads the model in fresh processes, once more than counts: the first brings the files into memory, and
    under some hypervisors the memory that other engines have given back as well."""
    measured = Load(engine.name, engine.precision, threads, [], None, engine.disk_bytes(folder) / 2**20)
    for index in range(1 + times):
        worker = Worker(engine, folder, threads)
        if index > 0:
            measured.load_ms.append(worker.about["load_ms"])
        worker.close()
    return measured


def compare_shape(workers, threads, shape, rounds, idle):
    turns = check_and_calibrate(workers, shape)
    figures = {
        worker: Figure(
            worker.engine.name,
            worker.about["version"],
            worker.engine.precision,
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
                answer = worker.run(*turns[worker])
            figures[worker].rounds.append(statistics.median(answer["milliseconds"]))
    set_ratios(list(figures.values()))
    return list(figures.values())


def ways(worker, shape):
    """How an engine may take the rows: lists of row numbers that go together."""
    rows = list(range(len(shape.lengths)))
    whole = [rows]
    if worker.engine.name == OURS or not shape.is_ragged:
        return [whole]
    # An engine that pads pads less where texts of about the same length go together.
    by_length = sorted(rows, key=lambda row: shape.lengths[row])
    return [whole, [by_length[i : i + SORTED_ROWS] for i in range(0, len(rows), SORTED_ROWS)]]


def check_and_calibrate(workers, shape):
    """Checks that the logits agree; gives each engine's batches, repeats and warm-up for a turn."""
    rows = shape.ids()
    turns, reference, differences = {}, None, {}
    for worker in workers:
        fastest = None
        for way in ways(worker, shape):
            batches = [[rows[row] for row in batch] for batch in way]
            answer = worker.run(batches, repeats=2, warmup=2)
            order = [row for batch in way for row in batch]
            logits = np.empty((len(rows), len(answer["logits"]) // len(rows)))
            logits[order] = np.reshape(answer["logits"], (len(rows), -1))
            reference = logits if reference is None else reference
            difference = np.abs(logits - reference).max()
            precision = worker.engine.precision
            # Written so that a logit that is no number fails too.
            if not difference <= worker.engine.tolerance:
                sys.exit(f"error: {worker.engine.name} {precision} is off by {difference} on {shape.name}")
            differences[precision] = max(difference, differences.get(precision, 0.0))
            milliseconds = min(answer["milliseconds"])
            if fastest is None or milliseconds < fastest:
                fastest = milliseconds
                turns[worker] = batches, *turn(milliseconds)
        if len(turns[worker][0]) > 1:
            print(f"  {shape.name}: {worker.engine.name} {precision} sorted, {SORTED_ROWS} together")
    largest = ", ".join(f"{precision} {value:.1e}" for precision, value in differences.items())
    print(f"  {shape.name}: {reference.size} logits, largest differences: {largest}", flush=True)
    return turns


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
