"""Transformers' pipeline and ours side by side."""

import itertools
from copy import copy
from functools import partial

import pytest

import distilbert_engine

transformers = pytest.importorskip("transformers", reason="Transformers is not installed")
torch = pytest.importorskip("torch", reason="PyTorch is not installed")


TOLERANCE = 1e-6


class Reference:
    """Transformers' pipeline in f32, whose logits are remembered, and the logits of the same model in float64."""

    def __init__(self, **arguments):
        make = partial(
            transformers.pipeline,
            "text-classification",
            model=str(distilbert_engine.BUNDLED_MODEL),
            device="cpu",
        )
        self.pipeline = make(dtype=torch.float32, **arguments)
        self._exact = make(dtype=torch.float64).model
        self._computed = {}
        # All combinations of arguments see the same few inputs of the model.
        self._forward, self.pipeline._forward = self.pipeline._forward, self._remembered

    def _remembered(self, inputs):
        # A batch that was padded differs from its texts alone by rounding; it is remembered as a whole.
        key = tuple(map(tuple, inputs["input_ids"].tolist()))
        if key not in self._computed:
            self._computed[key] = self._forward(inputs)
        return copy(self._computed[key])

    def exact_logits(self, text, **lengths):
        """Return the logits of a text in float64."""
        lengths.pop("padding", None)
        inputs = self.pipeline.tokenizer(text, return_tensors="pt", **lengths)
        key = ("exact", *inputs["input_ids"][0].tolist())
        if key not in self._computed:
            with torch.no_grad():
                self._computed[key] = self._exact(**inputs).logits[0]
        return self._computed[key]


@pytest.fixture(scope="module")
def reference():
    torch.set_num_threads(min(2, torch.get_num_threads()))
    return Reference()


@pytest.fixture(scope="module")
def pair(reference, classifier):
    return reference.pipeline, distilbert_engine.pipeline("text-classification", model=classifier)


def applied(function, logits):
    """Return the scores in float64, by the name of the function."""
    if function == "none":
        return logits
    return logits.sigmoid() if function == "sigmoid" else logits.softmax(-1)


def assert_same(theirs, ours, exact, tolerance=TOLERANCE):
    """Compare two results for one text: the same shapes and labels, and nearly the same scores.

    Both engines round in f32, so that neither is the measure of the other. Our score has to be within the tolerance of
    float64, and within the tolerance of theirs unless theirs is farther from float64 than ours.
    """
    assert type(theirs) is type(ours)
    if not isinstance(theirs, list):
        theirs, ours = [theirs], [ours]
    assert len(theirs) == len(ours)
    scores = {one["label"]: one["score"] for one in theirs}
    assert [one["score"] for one in ours] == sorted((one["score"] for one in ours), reverse=True)
    for one, other in zip(theirs, ours):
        assert list(one) == list(other) == ["label", "score"]
        assert type(one["score"]) is type(other["score"])
        # Labels whose scores are equal but for rounding may change places.
        assert one["label"] == other["label"] or abs(one["score"] - other["score"]) <= tolerance
        score, label = other["score"], other["label"]
        assert abs(score - exact[label]) <= tolerance
        if label in scores and abs(score - scores[label]) > tolerance:
            assert abs(score - exact[label]) < abs(scores[label] - exact[label])


LENGTHS = [
    {"truncation": True},
    {"truncation": True, "max_length": 16},
    {"truncation": "longest_first", "max_length": 9, "padding": True},
    {"max_length": 12},
]
COMBINATIONS = list(itertools.product(["", None, 1, 3], [None, "softmax", "sigmoid", "none"]))


@pytest.mark.parametrize(("top_k", "function"), COMBINATIONS)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_combinations(reference, pair, texts, top_k, function, lengths):
    theirs, ours = pair
    arguments = dict(lengths)
    if top_k != "":
        arguments["top_k"] = top_k
    if function is not None:
        arguments["function_to_apply"] = function
    # Logits are some ten times as large as scores.
    tolerance = 1e-5 if function == "none" else TOLERANCE

    def exact(text):
        scores = applied(function, reference.exact_logits(text, **lengths)).tolist()
        return dict(zip(ours.model.labels, scores))

    expected, found = theirs(texts, **arguments), ours(texts, **arguments)
    assert len(expected) == len(found) == 500
    for text, one, other in zip(texts, expected, found):
        assert_same(one, other, exact(text), tolerance)

    # Other kinds of inputs, and batches.
    few = texts[:12]
    for inputs in ([{"text": text} for text in few], few[:1], few[0], {"text": few[1]}):
        one, other = theirs(inputs, **arguments), ours(inputs, **arguments)
        assert shape(one) == shape(other)
        if isinstance(inputs, list):
            assert other == found[: len(inputs)]
    for size in (1, 5):
        one, other = (
            list(made((text for text in few), batch_size=size, **arguments)) for made in (theirs, ours)
        )
        assert other == found[: len(few)]
        for text, a, b in zip(few, one, other):
            assert_same(a, b, exact(text), tolerance)


def shape(value):
    """Return lists with labels alone."""
    return [shape(one) for one in value] if isinstance(value, list) else value["label"]


def test_report_distances(reference, pair, texts, capsys):
    """Prints the distances of both engines from float64; what they may be is checked above."""
    theirs, ours = pair
    arguments = {"truncation": True, "top_k": None}
    far = {"ours from float64": 0.0, "Transformers' from float64": 0.0, "ours from Transformers'": 0.0}
    for text, one, other in zip(texts, theirs(texts, **arguments), ours(texts, **arguments)):
        exact = dict(zip(ours.model.labels, reference.exact_logits(text, truncation=True).softmax(-1).tolist()))
        a, b = ({each["label"]: each["score"] for each in answer} for answer in (one, other))
        for label, value in exact.items():
            distances = (abs(b[label] - value), abs(a[label] - value), abs(a[label] - b[label]))
            far = {name: max(most, new) for (name, most), new in zip(far.items(), distances)}
    with capsys.disabled():
        print("\nlargest differences of scores:", {name: f"{most:.2e}" for name, most in far.items()})


@pytest.mark.parametrize("top_k", ["", None, 2])
def test_arguments_of_the_pipeline(classifier, texts, top_k):
    arguments = {"truncation": True, "function_to_apply": "softmax"}
    if top_k != "":
        arguments["top_k"] = top_k
    theirs = Reference(**arguments).pipeline
    ours = distilbert_engine.pipeline("text-classification", model=classifier, **arguments)
    for inputs in (texts[0], texts[:3], {"text": texts[1]}):
        assert shape(theirs(inputs)) == shape(ours(inputs))


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
