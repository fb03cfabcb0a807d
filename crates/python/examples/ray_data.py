"""Classify a Parquet data set with Ray Data, and keep all its columns.

    python ray_data.py reviews.parquet emotions.parquet --column text --actors 8
"""

from __future__ import annotations

import argparse

import pyarrow as pa
import ray

from distilbert_engine import Classifier


class Classify:
    """An actor with a model."""

    def __init__(self, column: str, model: str | None, precision: str, threads: int) -> None:
        self.column = column
        self.classifier = Classifier(model, precision=precision, threads=threads)

    def __call__(self, batch: pa.Table) -> pa.Table:
        return self.classifier.classify_arrow(batch, self.column)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--column", default="text")
    parser.add_argument("--model", help="a folder that all nodes see [default: the bundled model]")
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--actors", type=int, default=1, help="leave a core per node for reading")
    parser.add_argument("--threads", type=int, default=1, help="cores of an actor")
    parser.add_argument("--batch-size", type=int, default=2000, help="rows of a task, and of a file")
    arguments = parser.parse_args()

    ray.init(ignore_reinit_error=True)
    settings = (arguments.column, arguments.model, arguments.precision, arguments.threads)
    # Ray reads small files as one block, and gives each block to a single actor. Tasks also bound what a lost actor loses.
    rows = ray.data.read_parquet(arguments.input).repartition(
        target_num_rows_per_block=arguments.batch_size
    )
    rows.map_batches(
        Classify,
        fn_constructor_args=settings,
        batch_format="pyarrow",
        batch_size=arguments.batch_size,
        compute=ray.data.ActorPoolStrategy(size=arguments.actors),
        num_cpus=arguments.threads,
    ).write_parquet(arguments.output, mode=ray.data.SaveMode.ERROR)


if __name__ == "__main__":
    main()
