"""Classify a Parquet data set on one machine, in constant memory: DuckDB reads and filters, this process computes.

    python duckdb_stream.py 'reviews/*.parquet' emotions.parquet --column text --where "length(text) > 0"
"""

import argparse

import duckdb
import pyarrow.parquet

from distilbert_engine import Classifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--column", default="text")
    parser.add_argument("--where", default="true", help="SQL condition")
    parser.add_argument("--model", help="[default: the bundled model]")
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--threads", type=int, help="[default: all physical cores]")
    parser.add_argument("--batch-size", type=int, default=16_384)
    arguments = parser.parse_args()

    classifier = Classifier(
        arguments.model, precision=arguments.precision, threads=arguments.threads
    )
    rows = duckdb.read_parquet(arguments.input).filter(arguments.where)
    writer = None
    for batch in rows.to_arrow_reader(arguments.batch_size):
        found = classifier.classify_arrow(batch, arguments.column)
        writer = writer or pyarrow.parquet.ParquetWriter(arguments.output, found.schema)
        writer.write_batch(found)
    if writer is not None:
        writer.close()


if __name__ == "__main__":
    main()
