"""Transformers' pipeline and ours side by side."""

import itertools

import pytest

import distilbert_engine

transformers = pytest.importorskip("transformers", reason="Transformers is not installed")
torch = pytest.importorskip("torch", reason="PyTorch is not installed")


# Both engines round in f32. On the 500 texts, a few scores differ by slightly more than 1e-6.
TOLERANCE = 2e-6


@pytest.fixture(scope="module")
def pair(classifier):
    theirs = transformers.pipeline(
        "text-classification",
        model=str(distilbert_engine.BUNDLED_MODEL),
        dtype=torch.float32,
        device="cpu",
    )
    return theirs, distilbert_engine.pipeline("text-classification", model=classifier)


def assert_same(theirs, ours, tolerance):
    """Compare results whose scores may differ by rounding."""
    assert type(theirs) is type(ours)
    if isinstance(theirs, list):
        assert len(theirs) == len(ours)
        for one, other in zip(theirs, ours):
            assert_same(one, other, tolerance)
    else:
        assert list(theirs) == list(ours) == ["label", "score"]
        assert theirs["label"] == ours["label"]
        assert type(theirs["score"]) is type(ours["score"])
        assert abs(theirs["score"] - ours["score"]) <= tolerance


LENGTHS = [
    {"truncation": True},
    {"truncation": True, "max_length": 16},
    {"truncation": "longest_first", "max_length": 9, "padding": True},
    {"max_length": 12},
]
COMBINATIONS = list(itertools.product(["", None, 1, 3], [None, "softmax", "sigmoid", "none"]))


def test_all_texts_have_the_same_scores(pair, texts):
    """Compares all scores of 500 texts, from which every other combination follows."""
    theirs, ours = pair
    arguments = {"truncation": True, "top_k": None}
    expected = theirs(texts, batch_size=16, **arguments)
    found = ours(texts, batch_size=16, **arguments)
    # Labels whose scores differ by less than the tolerance may change places.
    for one, other in zip(expected, found):
        scores = {answer["label"]: answer["score"] for answer in one}
        assert [answer["score"] for answer in other] == sorted(
            (answer["score"] for answer in other), reverse=True
        )
        for answer in other:
            assert abs(scores[answer["label"]] - answer["score"]) <= TOLERANCE
    labels = [(one[0]["label"], other[0]["label"]) for one, other in zip(expected, found)]
    assert all(one == other for one, other in labels)


@pytest.mark.parametrize(("top_k", "function"), COMBINATIONS)
@pytest.mark.parametrize("lengths", LENGTHS)
def test_combinations(pair, texts, top_k, function, lengths):
    theirs, ours = pair
    arguments = dict(lengths)
    if top_k != "":
        arguments["top_k"] = top_k
    if function is not None:
        arguments["function_to_apply"] = function
    # Logits are not confined to the range of scores.
    tolerance = 2e-5 if function == "none" else TOLERANCE
    few = [text for text in texts[:12] if text]
    for inputs in (few, few[0], {"text": few[1]}, [{"text": few[2]}]):
        assert_same(theirs(inputs, **arguments), ours(inputs, **arguments), tolerance)
    generated = [list(one((text for text in few), batch_size=2, **arguments)) for one in (theirs, ours)]
    assert_same(*generated, tolerance)


@pytest.mark.parametrize("top_k", ["", None, 2])
def test_arguments_of_the_pipeline(classifier, texts, top_k):
    arguments = {"truncation": True, "function_to_apply": "softmax"}
    if top_k != "":
        arguments["top_k"] = top_k
    theirs = transformers.pipeline(
        "text-classification",
        model=str(distilbert_engine.BUNDLED_MODEL),
        dtype=torch.float32,
        device="cpu",
        **arguments,
    )
    ours = distilbert_engine.pipeline("text-classification", model=classifier, **arguments)
    for inputs in (texts[0], texts[:3], {"text": texts[1]}):
        assert_same(theirs(inputs), ours(inputs), TOLERANCE)


@pytest.mark.parametrize(
    "inputs", [3, None, 1.5, b"bytes", ["text", 3], [None], [["a", "b"]], [["a"]], {"text": 3}, {"no": "text"}, {}]
)
def test_wrong_types_raise_the_same_errors(pair, inputs):
    theirs, ours = pair
    with pytest.raises(Exception) as expected:
        theirs(inputs)
    with pytest.raises(expected.type):
        ours(inputs)


@pytest.mark.parametrize(
    "arguments", [{"function_to_apply": "tanh"}, {"function_to_apply": 3}, {"truncation": "middle"}]
)
def test_wrong_arguments_raise_the_same_errors(pair, arguments):
    theirs, ours = pair
    with pytest.raises(Exception) as expected:
        theirs("text", **arguments)
    with pytest.raises(expected.type):
        ours("text", **arguments)
