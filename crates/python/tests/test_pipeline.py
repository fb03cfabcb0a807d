"""`pipeline`, without Transformers."""

import math

import pytest

from distilbert_engine import Classifier, pipeline

TEXT = "I can't believe we won!"


@pytest.fixture(scope="module")
def classify(classifier):
    return pipeline("text-classification", model=classifier)


def test_one_text_gives_a_list_of_one(classify, classifier):
    expected = classifier.classify(TEXT)
    assert classify(TEXT) == [{"label": "happiness", "score": expected.score}]


def test_shapes(classify):
    best = classify(TEXT)[0]
    assert classify([TEXT, TEXT]) == [best, best]
    assert classify({"text": TEXT}) == best
    assert classify([{"text": TEXT}, TEXT]) == [best, best]
    assert classify(TEXT, top_k=1) == [best]
    assert classify([TEXT], top_k=1) == [[best]]
    every = classify(TEXT, top_k=None)
    assert len(every) == 7 and every[0] == best
    assert classify(TEXT, top_k=2) == every[:2]
    assert classify(TEXT, top_k=-1) == every[:-1]
    assert classify(TEXT, top_k=0) == []
    assert classify([]) == []


def test_arguments_of_the_pipeline_hold_for_calls(classifier):
    classify = pipeline(model=classifier, top_k=2, function_to_apply="none", batch_size=3)
    logits = sorted(classifier.classify(TEXT).logits, reverse=True)
    assert [one["score"] for one in classify([TEXT])[0]] == logits[:2]
    # As in Transformers, where the pipeline's own `top_k` doesn't change the outer list.
    assert [one["score"] for one in classify(TEXT)[0]] == logits[:2]
    sigmoid = classify([TEXT], function_to_apply="sigmoid")[0][0]["score"]
    assert sigmoid == pytest.approx(1 / (1 + math.exp(-logits[0])))


def test_generators_are_read_as_needed(classify):
    read = []

    def texts():
        for number in range(10):
            read.append(number)
            yield f"text {number}"

    answers = classify(texts(), batch_size=4)
    assert read == []
    next(answers)
    assert len(read) == 4
    assert len(list(answers)) == 9


def test_data_sets_give_iterators(classify):
    class Data:
        def __len__(self):
            return 3

        def __getitem__(self, index):
            if index >= len(self):
                raise IndexError
            return TEXT

    assert list(classify(Data())) == classify([TEXT] * 3)


def test_lengths(classify):
    book = "We won! " * 600
    for arguments in ({}, {"truncation": False}, {"truncation": False, "max_length": 8}):
        with pytest.raises(ValueError):
            classify(book if "max_length" not in arguments else "We won! " * 600, **arguments)
    assert classify(book, truncation=True)
    short = classify("We won!")
    assert classify(book, truncation=True, max_length=5) == short
    assert classify(book, max_length=5) == short


def test_wrong_arguments(classify):
    with pytest.raises(KeyError):
        classify(TEXT, function_to_apply="tanh")
    with pytest.raises(KeyError, match="Unknown task"):
        pipeline("fill-mask")
    with pytest.raises(ValueError, match="TruncationStrategy"):
        classify(TEXT, truncation="middle")
    with pytest.raises(TypeError, match="temperature"):
        classify(TEXT, temperature=1)
    for wrong in ([[TEXT, TEXT]], [[TEXT]]):
        with pytest.raises(ValueError, match="text pairs"):
            classify(wrong)


def test_loads_a_model_by_its_folder():
    from distilbert_engine import BUNDLED_MODEL

    classify = pipeline(model=BUNDLED_MODEL, device=-1, precision="int8", threads=1)
    assert classify.model.info["precision"] == "int8"
    assert isinstance(classify.model, Classifier)
