"""Explanations and evaluations."""

from __future__ import annotations

import base64
import html
import json
import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from . import _engine
from ._engine import Prediction


@dataclass(frozen=True)
class Word:
    """A word of an explained text."""

    text: str
    #: Evidence for the target if positive, against it if negative.
    relevance: float
    #: Start and end in the text, in characters.
    start: int
    end: int


class Explanation:
    """The words on which a prediction is based.

    The relevances of all tokens, the ledger and the unexplained remainder add up to the value.
    """

    def __init__(self, explanation: _engine.Explanation, model: str) -> None:
        self._explanation = explanation
        self._model = model

    @cached_property
    def _fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = json.loads(self._explanation.json())
        return fields

    @property
    def text(self) -> str:
        """The text."""
        return str(self._fields["text"])

    @property
    def prediction(self) -> Prediction:
        """The prediction."""
        return self._explanation.prediction

    @property
    def target(self) -> str:
        """The label that is explained."""
        return str(self._fields["target"])

    @property
    def against(self) -> str | None:
        """The label with which the target is compared."""
        against: str | None = self._fields["against"]
        return against

    @property
    def method(self) -> str:
        """The method."""
        return str(self._fields["method"])

    @property
    def value(self) -> float:
        """The explained number, such as the target's logit."""
        return float(self._fields["value"])

    @property
    def unexplained(self) -> float:
        """The part of the value that the relevances and the ledger leave out."""
        return float(self._fields["unexplained"])

    @cached_property
    def words(self) -> list[Word]:
        """The words, in the order of the text."""
        return [
            Word(word["text"], word["relevance"], word["start"], word["end"])
            for word in self._fields["words"]
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, as ``distilbert explain --json`` prints them."""
        fields: dict[str, Any] = json.loads(self._explanation.json())
        return fields

    def pictures(self) -> dict[str, str]:
        """Return the pictures: SVG by file name."""
        return dict(self._explanation.pictures())

    def html(self) -> str:
        """Return the page: one self-contained file without scripts."""
        return self._explanation.html([("model", self._model)])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file."""
        _write(path, self.html())

    def __repr__(self) -> str:
        words = sorted(self.words, key=lambda word: -abs(word.relevance))[:3]
        shown = ", ".join(f"{word.text} {word.relevance:+.2f}" for word in words)
        return f"Explanation(target={self.target!r}, value={self.value:.2f}, words: {shown})"

    def _repr_html_(self) -> str:
        """Return the text and the pictures, for notebooks."""
        prediction = self.prediction
        found = f"{html.escape(prediction.label)} {prediction.score:.1%}"
        goal = html.escape(self.target + (f" rather than {self.against}" if self.against else ""))
        pictures = self.pictures()
        pictures.pop("words-in-text-order.svg", None)
        images = "".join(_image(name, svg) for name, svg in pictures.items())
        return (
            f"<p><b>{found}</b> &middot; evidence for {goal}</p>"
            f'<p style="line-height:1.9">{_shaded(self.text, self.words)}</p>{images}'
        )


class Evaluation:
    """Metrics of a model on labeled texts."""

    def __init__(self, report: _engine.Report, model: str) -> None:
        self._report = report
        self._model = model

    @cached_property
    def _fields(self) -> dict[str, Any]:
        return self.to_dict()

    @property
    def accuracy(self) -> float:
        """The share of texts whose labels are predicted exactly."""
        return float(self._fields["accuracy"])

    @property
    def macro_f1(self) -> float:
        """The mean of the labels' F1 scores."""
        return float(self._fields["macro_f1"])

    def to_dict(self) -> dict[str, Any]:
        """Return all metrics, as ``distilbert evaluate --json`` prints them."""
        fields: dict[str, Any] = json.loads(self._report.json())
        return fields

    def html(self, digits: int = 2) -> str:
        """Return the page: one self-contained file without scripts."""
        return self._report.html(digits, [("model", self._model)])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file."""
        _write(path, self.html())

    def __str__(self) -> str:
        return self._report.text(2)

    def __repr__(self) -> str:
        return f"Evaluation(accuracy={self.accuracy:.4f}, macro_f1={self.macro_f1:.4f})"

    def _repr_html_(self) -> str:
        """Return the page in a frame, which keeps its styles to itself."""
        page = html.escape(self.html(), quote=True)
        return (
            f'<iframe srcdoc="{page}" sandbox="" width="100%" height="600" '
            'style="border:0" title="evaluation"></iframe>'
        )


def _write(path: str | os.PathLike[str], text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _image(name: str, svg: str) -> str:
    """Return a picture as an image, which keeps its styles to itself."""
    data = base64.b64encode(svg.encode()).decode()
    title = html.escape(name.removesuffix(".svg").replace("-", " "))
    return f'<img alt="{title}" src="data:image/svg+xml;base64,{data}" style="max-width:100%;vertical-align:top">'


def _shaded(text: str, words: list[Word]) -> str:
    """Return the text with its words shaded in the colors of the pictures: orange for the target, purple against it."""
    largest = max((abs(word.relevance) for word in words), default=0.0) or 1.0
    parts, end = [], 0
    for word in words:
        parts.append(html.escape(text[end : word.start]))
        color = "245,166,73" if word.relevance > 0 else "168,156,206"
        strength = 0.8 * abs(word.relevance) / largest
        parts.append(
            f'<span title="{word.relevance:+.3f}" style="background:rgba({color},{strength:.3f});'
            f'border-radius:3px;padding:2px">{html.escape(text[word.start : word.end])}</span>'
        )
        end = word.end
    return "".join([*parts, html.escape(text[end:])])
