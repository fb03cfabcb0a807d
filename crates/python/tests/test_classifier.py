"""The classifier's methods."""

import threading

import numpy as np
import pytest

import distilbert_engine
from distilbert_engine import Classifier, InputError


def test_classifies_one_text(classifier):
    found = classifier.classify("I can't believe we won!")
    assert found.label == "happiness"
    assert found.score == pytest.approx(0.597, abs=1e-3)
    assert found.scores["happiness"] == found.score
    assert found.top_k(1) == [(found.label, found.score)]
    assert sum(found.scores.values()) == pytest.approx(1)
    assert found.labels == classifier.labels
    assert (found.tokens, found.truncated, found.dropped_tokens) == (10, False, 0)
    assert repr(found) == 'Prediction(label="happiness", score=0.5966)'


def test_lists_have_the_bits_of_single_texts(classifier, texts):
    many = classifier.classify(texts)
    assert [found.logits for found in many[:60]] == [
        classifier.classify(text).logits for text in texts[:60]
    ]
    assert many == Classifier(threads=2).classify(tuple(texts))


def test_no_texts_give_no_predictions(classifier):
    assert classifier.classify([]) == []


def test_takes_any_iterable_of_texts(classifier):
    assert len(classifier.classify(text for text in ["a", "b"])) == 2


def test_rejects_what_is_not_text(classifier):
    for wrong in (None, 3, b"text", ["text", 3], [None]):
        with pytest.raises(TypeError):
            classifier.classify(wrong)


def test_truncates_as_asked(classifier):
    book = "We won! " * 1000
    assert classifier.classify(book).truncated
    assert not classifier.classify(book, truncation="windows:64").truncated
    assert classifier.classify(book, max_tokens=10).tokens == 10
    with pytest.raises(InputError, match=r"row 1 has more than 512 tokens|row 1 has \d+ tokens"):
        classifier.classify(["short", book], truncation=False)


def test_errors_count_rows_from_the_first_of_all(classifier):
    texts = ["some words that fill the first steps " * 10] * 300
    with pytest.raises(InputError, match="row 300 "):
        classifier.classify([*texts, "word " * 600], truncation="error")


def test_logits_of_token_ids(classifier):
    ids = np.array([[101, 2307, 102, 0], [101, 6659, 999, 102]])
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]])
    logits = classifier.logits(ids, mask)
    assert (logits.shape, logits.dtype) == ((2, 7), np.float32)
    for kind in (np.int32, np.uint32, np.uint16):
        other = ids.astype(kind) if kind is not np.uint16 else ids.astype(np.uint32)
        assert np.array_equal(classifier.logits(other, mask.astype(bool)), logits)
    assert np.array_equal(classifier.logits(ids[1:]), logits[1:])
    # Columns in another order in memory.
    assert np.array_equal(classifier.logits(np.asfortranarray(ids), mask), logits)
    assert np.array_equal(classifier.logits(ids.tolist(), mask.tolist()), logits)


def test_logits_of_many_rows(classifier):
    """Computes several steps, the last of which fails if a row is wrong."""
    ids = np.array([[101, 2003 + row, 2129, 102] for row in range(700)])
    logits = classifier.logits(ids)
    assert logits.shape == (700, 7)
    assert np.array_equal(logits[650:], classifier.logits(ids[650:]))
    ids[699, 2] = 99999
    with pytest.raises(InputError, match="row 699 "):
        classifier.logits(ids)


def test_logits_reject_bad_arrays(classifier):
    for ids, mask, error, message in [
        (np.zeros((1, 3)), None, TypeError, "input_ids should be a matrix of int64.*float64"),
        (np.zeros(3, int), None, TypeError, "matrix"),
        (np.array([[1, -5]]), None, InputError, "row 0 should be integers from 0"),
        (np.array([[1, 99999]]), None, InputError, "below the vocabulary size"),
        (np.ones((1, 3), int), np.ones((3, 1), int), InputError, "same number of rows"),
        (np.ones((1, 2), int), np.array([[1, 2]]), InputError, "should be 0 or 1"),
        (np.ones((0, 3), int), None, InputError, "empty"),
    ]:
        with pytest.raises(error, match=message):
            classifier.logits(ids, mask)


def test_threads_share_a_classifier(classifier, texts):
    expected = classifier.classify(texts[:100])
    found = [None] * 4

    def run(at):
        found[at] = classifier.classify(texts[:100])

    threads = [threading.Thread(target=run, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_other_threads_run_during_a_call(classifier):
    """Counts how often this thread runs while another one computes."""
    done = threading.Event()

    def run():
        classifier.classify(["a long text that takes some time " * 15] * 20)
        done.set()

    thread = threading.Thread(target=run)
    thread.start()
    turns = 0
    while not done.wait(0.001):
        turns += 1
    thread.join()
    assert turns > 10


def test_precision_and_device_are_checked():
    with pytest.raises(distilbert_engine.OptionError, match="unknown precision `f8`"):
        Classifier(precision="f8")
    with pytest.raises(distilbert_engine.DeviceError):
        Classifier(device="gpu")
    with pytest.raises(distilbert_engine.DeviceError, match="cuda"):
        Classifier(device="cuda")
    with pytest.raises(ValueError, match="at least 1"):
        Classifier(threads=0)
    assert Classifier(precision="int8").info["precision"] == "int8"


def test_missing_model_is_an_error(tmp_path):
    with pytest.raises(OSError, match="config.json") as caught:
        Classifier(tmp_path)
    assert isinstance(caught.value, distilbert_engine.Error)


def test_progress_is_reported(classifier, monkeypatch, capsys):
    pytest.importorskip("tqdm")
    classifier.classify(["text"] * 10, progress=True)
    assert "10/10" in capsys.readouterr().err


def test_quantized_model_keeps_the_bits_of_int8(tmp_path):
    from distilbert_engine import BUNDLED_MODEL, convert, quantize

    quantize(BUNDLED_MODEL, tmp_path / "int8")
    small, int8 = Classifier(tmp_path / "int8"), Classifier(precision="int8")
    assert small.info["precision"] == "int8"
    assert small.classify("We won!") == int8.classify("We won!")
    convert(BUNDLED_MODEL, tmp_path / "f32", "f32")
    assert Classifier(tmp_path / "f32").info["dtypes"] == ["F32"]
    with pytest.raises(distilbert_engine.CheckpointError, match="exists"):
        quantize(BUNDLED_MODEL, tmp_path / "int8")
