"""Runs the engines in turn and summarizes their times."""

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
# Approximate duration of a turn, and its minimum number of repeats.
TURN_MS, LEAST_REPEATS = 300, 3
# Pause between turns, in which spinning thread pools go to sleep.
PAUSE_S = 0.05
# Runs longer than this need no warm-up in each turn.
LONG_MS = 100
# Batch size of the sorted texts of a ragged batch, if that is faster for an engine that pads.
SORTED_ROWS = 8


class Worker:
    """Process of an engine."""

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
        """Returns the CPU time of all threads so far; 0 if /proc doesn't have it."""
        try:
            stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:
            return 0.0
        # Fields after the program's name, which may contain spaces: 11 is user time, 12 is system time.
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mib(self):
        """Returns the peak memory so far; None if /proc doesn't have it."""
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
        return None

    def close(self):
        # It exits at the end of its input; otherwise it is killed.
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclasses.dataclass
class Figure:
    """Times of one engine on one shape, one per round, in milliseconds."""

    engine: str
    version: str
    precision: str
    threads: int
    shape: str
    rounds: list[float] = dataclasses.field(default_factory=list)
    # For a peer: its median ÷ distilbert's in the same precision. For distilbert: the best peer's median ÷ its own, where
    # f16 is compared with the best f32 peer. Above 1, distilbert is faster.
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
    """Sets the ratios of one shape."""
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
    """Cost of loading the model and answering a first text of eight tokens."""

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
    """Measures all engines on all shapes with this number of threads, and `loads` loads."""
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
    """Loads the model in fresh processes. The first load is discarded: it warms the page cache and, on some hypervisors,
    reclaims memory that other engines have freed."""
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
        # Every other round is reversed, so that no engine always follows the same one.
        for worker in workers if index % 2 == 0 else reversed(workers):
            time.sleep(PAUSE_S)
            with idle.during(worker):
                answer = worker.run(*turns[worker])
            figures[worker].rounds.append(statistics.median(answer["milliseconds"]))
    set_ratios(list(figures.values()))
    return list(figures.values())


def ways(worker, shape):
    """Returns the ways to batch the rows for an engine, as lists of row indices."""
    rows = list(range(len(shape.lengths)))
    whole = [rows]
    if worker.engine.name == OURS or not shape.is_ragged:
        return [whole]
    # Batches of texts of similar length need less padding.
    by_length = sorted(rows, key=lambda row: shape.lengths[row])
    return [whole, [by_length[i : i + SORTED_ROWS] for i in range(0, len(rows), SORTED_ROWS)]]


def check_and_calibrate(workers, shape):
    """Checks that the logits agree, and returns each engine's batches, repeats and warm-up for a turn."""
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
            # Written so that NaN fails as well.
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
    """Returns the repeats and the warm-up of a turn from the duration of a run."""
    repeats = max(LEAST_REPEATS, round(TURN_MS / milliseconds))
    return repeats, 0 if milliseconds > LONG_MS else 1


class IdleTime:
    """CPU time that waiting engines use, which should be none."""

    def __init__(self, workers):
        self.workers = workers
        self.used = 0.0
        self.elapsed = 0.0

    @contextlib.contextmanager
    def during(self, busy):
        """Measures the CPU time of all engines but `busy`."""
        waiting = [worker for worker in self.workers if worker is not busy]
        start, used = time.perf_counter(), sum(worker.cpu_seconds() for worker in waiting)
        yield
        self.elapsed += time.perf_counter() - start
        self.used += sum(worker.cpu_seconds() for worker in waiting) - used

    def report(self):
        if self.elapsed:
            share = self.used / self.elapsed
            print(f"  waiting engines used {share:.1%} of a core while another was timed")
