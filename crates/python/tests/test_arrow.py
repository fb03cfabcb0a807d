"""Tables of pyarrow, polars and DuckDB."""

import pytest

import distilbert_engine

pa = pytest.importorskip("pyarrow")

TEXTS = ["We won!", None, "", "I miss you so much.", "We won!", "What a shock! 你好"]


@pytest.fixture(scope="module")
def expected(classifier):
    found = [None if text is None else classifier.classify(text) for text in TEXTS]
    return (
        [None if one is None else one.label for one in found],
        [None if one is None else one.score for one in found],
    )


def columns(table):
    return table["label"].to_pylist(), table["score"].to_pylist()


KINDS = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.uint32(), pa.large_string()),
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_strings_of_any_kind(classifier, expected, kind):
    text = pa.array(TEXTS).cast(kind) if not pa.types.is_string_view(kind) else pa.array(TEXTS, kind)
    table = pa.table({"id": range(6), "text": text})
    found = classifier.classify_arrow(table, "text")
    assert isinstance(found, pa.Table)
    assert columns(found) == expected
    assert found.select(["id", "text"]).equals(table)
    # Parts of arrays begin at an offset.
    assert columns(classifier.classify_arrow(table.slice(2, 3), "text")) == tuple(
        column[2:5] for column in expected
    )


def test_record_batch_gives_a_record_batch(classifier, expected):
    batch = pa.record_batch({"text": TEXTS})
    found = classifier.classify_arrow(batch, "text")
    assert isinstance(found, pa.RecordBatch)
    assert columns(found) == expected
    none = classifier.classify_arrow(batch.slice(0, 0), "text")
    assert (none.num_rows, none.schema) == (0, found.schema)


def test_chunks_and_streams(classifier, expected):
    table = pa.concat_tables([pa.table({"text": TEXTS[:2]}), pa.table({"text": TEXTS[2:]})])
    assert columns(classifier.classify_arrow(table, "text")) == expected
    reader = classifier.classify_arrow(table.to_reader(), "text")
    assert columns(pa.table(reader)) == expected


def test_objects_of_unknown_kind_give_a_table_that_all_take(classifier, expected):
    class Table:
        def __arrow_c_stream__(self, requested_schema=None):
            return pa.table({"text": TEXTS}).__arrow_c_stream__(requested_schema)

    class Batch:
        def __arrow_c_array__(self, requested_schema=None):
            return pa.record_batch({"text": TEXTS}).__arrow_c_array__(requested_schema)

    for data in (Table(), Batch()):
        found = classifier.classify_arrow(data, "text")
        assert isinstance(found, distilbert_engine.ArrowTable)
        assert (len(found), found.column_names) == (6, ["text", "label", "score"])
        assert columns(pa.table(found)) == columns(pa.table(found)) == expected
        assert pa.schema(found).names == found.column_names


def test_scores_of_all_labels(classifier):
    table = classifier.classify_arrow(pa.table({"text": TEXTS}), "text", scores="p_", label="emotion")
    assert table.column_names[1:3] == ["emotion", "score"]
    scores = classifier.classify("We won!").scores
    assert {label: table["p_" + label][0].as_py() for label in scores} == scores
    assert table["p_anger"][1].as_py() is None
    assert classifier.labels == classifier.classify_arrow(
        pa.table({"text": TEXTS}), "text", scores=True
    ).column_names[3:]


def test_schema_is_kept(classifier):
    schema = pa.schema([pa.field("text", pa.string(), metadata={"a": "b"})], metadata={"c": "d"})
    table = pa.table({"text": ["We won!"]}, schema=schema)
    found = classifier.classify_arrow(table, "text").schema
    assert found.metadata == schema.metadata
    assert found.field("text").metadata == {b"a": b"b"}


def test_empty_dictionaries_and_nulls(classifier):
    for text in (
        pa.nulls(3, pa.dictionary(pa.int32(), pa.string())),
        pa.nulls(3, pa.string()),
        pa.nulls(3),
    ):
        found = classifier.classify_arrow(pa.table({"text": text}), "text")
        assert columns(found) == ([None] * 3, [None] * 3)


def test_errors(classifier):
    table = pa.table({"text": ["a"], "number": [1]})
    error = distilbert_engine.TableError
    with pytest.raises(error, match="no column `body`, only text, number"):
        classifier.classify_arrow(table, "body")
    with pytest.raises(error, match="`number` should contain strings, found Int64"):
        classifier.classify_arrow(table, "number")
    with pytest.raises(error, match="already a column `number`"):
        classifier.classify_arrow(table, "text", label="number")
    with pytest.raises(TypeError, match="__arrow_c_stream__"):
        classifier.classify_arrow(["text"], "text")


@pytest.mark.parametrize("kind", [pa.string(), pa.dictionary(pa.int8(), pa.string())], ids=str)
def test_errors_count_the_rows_of_the_table(classifier, kind):
    parts = [["a", None], [None, "a", "c", "b " * 600, "b " * 600]]
    text = pa.chunked_array([pa.array(part, pa.string()).cast(kind) for part in parts])
    with pytest.raises(distilbert_engine.InputError, match="row 5 "):
        classifier.classify_arrow(pa.table({"text": text}), "text", truncation=False)


def test_invalid_utf8_is_an_error(classifier):
    text = pa.array([b"fine", b"\xff\xfe"]).view(pa.string())
    with pytest.raises(distilbert_engine.TableError, match="(?i)utf"):
        classifier.classify_arrow(pa.table({"text": text}), "text")


def test_polars(classifier, expected):
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"text": TEXTS, "id": range(6)})
    found = classifier.classify_arrow(frame, "text")
    assert isinstance(found, pl.DataFrame)
    assert (found["label"].to_list(), found["score"].to_list()) == expected
    categories = frame.with_columns(pl.col("text").cast(pl.Categorical))
    assert classifier.classify_arrow(categories, "text")["label"].to_list() == expected[0]


def test_duckdb(classifier, expected):
    duckdb = pytest.importorskip("duckdb")
    rows = pa.table({"text": TEXTS})
    relation = duckdb.sql("select * from rows")
    found = classifier.classify_arrow(relation, "text")
    answers = duckdb.sql("select label, score from found").fetchall()
    assert tuple(map(list, zip(*answers))) == expected
