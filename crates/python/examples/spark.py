"""Classify a Parquet data set with Spark, and keep all its columns.

    python spark.py reviews.parquet emotions.parquet --column text
"""

import argparse
from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.types import FloatType, StringType, StructType

from distilbert_engine import Classifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--column", default="text")
    parser.add_argument("--model", help="a folder that all workers see [default: the bundled model]")
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--master", help="such as local-cluster[2,1,1024]")
    arguments = parser.parse_args()

    builder = SparkSession.builder.appName("distilbert")
    spark = (builder.master(arguments.master) if arguments.master else builder).getOrCreate()
    # Spark runs one Python process for each task at a time, and gives it this many cores.
    threads = int(spark.conf.get("spark.task.cpus", "1"))
    column, model, precision = arguments.column, arguments.model, arguments.precision

    def classify(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # A worker process loads the model for its first task and keeps it for the next ones.
        classifier = Classifier.shared(model, precision=precision, threads=threads)
        for batch in batches:
            yield classifier.classify_arrow(batch, column)

    rows = spark.read.parquet(arguments.input)
    schema = StructType(list(rows.schema)).add("label", StringType()).add("score", FloatType())
    rows.mapInArrow(classify, schema).write.parquet(arguments.output)
    spark.stop()


if __name__ == "__main__":
    main()
