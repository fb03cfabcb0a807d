"""The examples for Spark, Ray and DuckDB: one worker is killed in mid-job, and the bits are those of one machine.

`CLUSTER_ROWS` sets the number of rows, 2,000 by default, and `CLUSTER_PRECISION` the precision. From 20,000 rows on, the
jobs' throughput is compared with that of the program (`pytest -s` prints it), which `CLUSTER_PROGRAM` names. Processor time
hardly depends on what else the machine does.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import distilbert_engine

pa = pytest.importorskip("pyarrow")
compute = pytest.importorskip("pyarrow.compute")
parquet = pytest.importorskip("pyarrow.parquet")

EXAMPLES = Path(__file__).parent.parent / "examples"
ROWS = int(os.environ.get("CLUSTER_ROWS", "2000"))
PRECISION = os.environ.get("CLUSTER_PRECISION", "f32")
# Number of rows from which on throughput is worth measuring.
LARGE = 20_000
# A task for each file, of some seconds.
FILES = max(10, ROWS // 2000)


@pytest.fixture(scope="module")
def data(tmp_path_factory, texts):
    """Write a data set of several files, with a column that is not classified."""
    folder = tmp_path_factory.mktemp("cluster") / "rows.parquet"
    folder.mkdir()
    rows = [None if row % 97 == 0 else texts[row % len(texts)] for row in range(ROWS)]
    table = pa.table({"id": pa.array(range(ROWS), pa.int64()), "text": pa.array(rows, pa.string())})
    for file in range(FILES):
        start = ROWS * file // FILES
        part = table.slice(start, ROWS * (file + 1) // FILES - start)
        parquet.write_table(part, folder / f"part-{file:03}.parquet")
    return folder, table


def run(
    example, source, target, *arguments, victim=None, started=None, parent=None, **environment
):
    """Run an example; once `started` holds, kill a descendant whose command line matches `victim`."""
    command = [sys.executable, str(EXAMPLES / example), str(source), str(target), *arguments]
    command += ["--precision", PRECISION]
    log = target.with_suffix(".log")
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **environment}
        )
        begin, killed, after = time.monotonic(), None, 0.0
        used = {}
        try:
            while process.poll() is None:
                assert time.monotonic() < begin + 300 + ROWS / 100, log.read_text()[-3000:]
                if victim and not killed and started(target):
                    killed = kill_one(parent or process.pid, victim)
                    after = time.monotonic() - begin
                for child in [process.pid, *descendants(parent or process.pid)]:
                    used[child] = max(used.get(child, 0.0), processor_seconds(child))
                # Looking takes time too: JVMs have many threads.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(min(5, ROWS / 10_000))
        finally:
            for child in descendants(process.pid):
                _kill(child)
            process.kill()
            process.wait()
    seconds = time.monotonic() - begin
    assert process.returncode == 0, log.read_text()[-3000:]
    assert killed or not victim, "the job ended before a worker could be killed"
    print(
        f"\n{example}: {ROWS} rows in {seconds:.1f} s, {sum(used.values()):.1f} s of processors, "
        f"a worker killed after {after:.1f} s"
    )
    return parquet.read_table(target), seconds


def processor_seconds(process):
    """Return the time that a process has computed, without its children."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def kill_one(parent, pattern):
    """Kill a descendant of a process, and return its id."""
    for child in descendants(parent):
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if re.search(pattern, command):
            _kill(child)
            return child
    return None


def _kill(process):
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        pass


def descendants(parent):
    """Return the ids of the descendants of a process."""
    found = []
    try:
        for task in Path(f"/proc/{parent}/task").iterdir():
            children = (task / "children").read_text().split()
            for child in map(int, children):
                found += [child, *descendants(child)]
    except OSError:
        pass
    return found


def assert_complete(found, table):
    """Compare a result with that of one classifier, which computes each text once."""
    classifier = distilbert_engine.Classifier(precision=PRECISION)
    texts = table["text"].combine_chunks().dictionary_encode()
    expected = classifier.classify_arrow(table.set_column(1, "text", texts), "text")
    found = found.sort_by("id")
    assert found.column_names == expected.column_names
    assert found["id"].equals(table["id"])
    assert found["text"].combine_chunks().equals(table["text"].combine_chunks())
    for name in ("label", "score"):
        assert found[name].combine_chunks().equals(expected[name].combine_chunks()), name


def program_rate(table, folder):
    """Return the rows per second of the program on a part of the rows, with two threads; `None` for small tests."""
    if ROWS < LARGE:
        return None
    rows = folder / "rows.jsonl"
    part = table.slice(0, min(ROWS, LARGE)).to_pylist()
    with rows.open("w", encoding="utf-8") as file:
        for row in part:
            json.dump({**row, "text": row["text"] or ""}, file)
            file.write("\n")
    program = os.environ.get("CLUSTER_PROGRAM", f"{sys.executable} -m distilbert_engine").split()
    options = ["--threads", "2", "--precision", PRECISION, "--overwrite"]
    command = [*program, "classify", "--input", str(rows), "--output", str(folder / "out.jsonl"), *options]
    begin = time.monotonic()
    subprocess.run(command, check=True)
    rate = len(part) / (time.monotonic() - begin)
    print(f"\nprogram: {rate:.1f} rows per second")
    return rate


def assert_fast(seconds, before, after):
    """Compare a job's throughput with that of the program, measured before and after it."""
    if before is None:
        return
    share = ROWS / seconds / ((before + after) / 2)
    print(f"{share:.1%} of the program's throughput, with a worker killed")
    assert share >= 0.85 or ROWS < 200_000


def test_spark(data, tmp_path):
    pytest.importorskip("pyspark", reason="PySpark is not installed")
    source, table = data
    before = program_rate(table, tmp_path)
    found, seconds = run(
        "spark.py",
        source,
        tmp_path / "out.parquet",
        "--master",
        "local-cluster[2,1,1024]",
        victim="CoarseGrainedExecutorBackend",
        started=lambda target: any(target.glob("_temporary/*/task_*")),
        PYSPARK_PYTHON=sys.executable,
        # Three JVMs share two cores with the workers, so their compilers and collectors should take little of them.
        JAVA_TOOL_OPTIONS="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        # A task for each file.
        PYSPARK_SUBMIT_ARGS="--conf spark.sql.files.maxPartitionBytes=4194304 "
        "--conf spark.ui.enabled=false pyspark-shell",
    )
    assert_complete(found, table)
    assert_fast(seconds, before, program_rate(table, tmp_path))


def test_ray(data, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed")
    from ray.cluster_utils import Cluster

    source, table = data
    before = program_rate(table, tmp_path)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=2)
        found, seconds = run(
            "ray_data.py",
            source,
            tmp_path / "out.parquet",
            *["--actors", "2", "--batch-size", str(ROWS // FILES)],
            victim=r"ray::.*Classify",
            started=lambda target: any(target.glob("*.parquet")),
            # The actors are children of the cluster, which is this process's.
            parent=os.getpid(),
            RAY_ADDRESS=cluster.address,
        )
    finally:
        cluster.shutdown()
    assert_complete(found, table)
    assert_fast(seconds, before, program_rate(table, tmp_path))


def test_duckdb(data, tmp_path):
    pytest.importorskip("duckdb", reason="DuckDB is not installed")
    source, table = data
    found, _ = run(
        "duckdb_stream.py", source / "*.parquet", tmp_path / "out.parquet",
        "--batch-size", "300", "--where", "id % 2 = 0", "--threads", "1",
    )
    even = table.filter(compute.equal(compute.bit_wise_and(table["id"], 1), 0))
    assert_complete(found, even)


def test_shared_classifier_is_loaded_once():
    one = distilbert_engine.Classifier.shared(threads=1)
    assert one is distilbert_engine.Classifier.shared(threads=1)
    assert one is not distilbert_engine.Classifier.shared(threads=1, precision="int8")
