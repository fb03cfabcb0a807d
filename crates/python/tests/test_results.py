"""Explanations and evaluations."""

import base64
import json
import re
from xml.dom import minidom

import pytest

import distilbert_engine


@pytest.fixture(scope="module")
def explanation(classifier):
    return classifier.explain("I can't <b>believe</b> we won & lost!", curves=True)


def test_relevances_add_up(explanation):
    fields = explanation.to_dict()
    tokens = sum(token["relevance"] for token in fields["tokens"])
    assert [word.text for word in explanation.words][-1] == "!"
    assert all(word.text == explanation.text[word.start : word.end] for word in explanation.words)
    assert explanation.value == pytest.approx(fields["logit"])
    assert abs(tokens) > 0
    assert explanation.prediction.label == explanation.target


def test_explains_one_label_against_another(classifier):
    found = classifier.explain("What a shock!", target="surprise", against="fear", method="attnlrp")
    assert (found.target, found.against, found.method) == ("surprise", "fear", "attnlrp")


def test_explanation_options_are_checked(classifier):
    with pytest.raises(distilbert_engine.ExplainError, match="joy"):
        classifier.explain("text", target="joy")
    with pytest.raises(distilbert_engine.OptionError, match="unknown method"):
        classifier.explain("text", method="magic")
    with pytest.raises(ValueError, match="target"):
        classifier.explain("text", against="fear")


def test_notebook_picture_is_escaped_and_well_formed(explanation):
    shown = explanation._repr_html_()
    assert "<b>believe" not in shown
    minidom.parseString(f"<div>{shown.replace('&middot;', '·')}</div>".replace('top">', 'top"/>'))
    images = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", shown)
    assert len(images) == 2
    for image in images:
        assert minidom.parseString(base64.b64decode(image)).documentElement.tagName == "svg"


def test_page_is_saved(explanation, tmp_path):
    explanation.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    assert "words-by-relevance.svg" in explanation.pictures()


def test_evaluates_labels_by_name_and_index(classifier):
    texts = ["I miss you so much.", "What a shock!", "We won!"]
    by_name = classifier.evaluate(texts, ["sadness", "surprise", "anger"], resamples=50)
    assert by_name.accuracy == pytest.approx(2 / 3)
    by_index = classifier.evaluate(texts, [5, 6, 0], resamples=50)
    assert by_index.to_dict() == by_name.to_dict()
    assert "precision" in str(by_name)
    assert json.dumps(by_name.to_dict())
    assert "<iframe" in by_name._repr_html_()
    assert by_name.html().startswith("<!DOCTYPE html>")


def test_evaluation_checks_labels(classifier):
    with pytest.raises(ValueError, match="unknown label 'joy'"):
        classifier.evaluate(["text"], ["joy"])
    with pytest.raises(ValueError, match="one label per text"):
        classifier.evaluate(["text"], [])
    with pytest.raises(distilbert_engine.EvaluationError, match="label id 9"):
        classifier.evaluate(["text"], [9])
    with pytest.raises(distilbert_engine.EvaluationError, match="nothing to evaluate"):
        classifier.evaluate([], [])
