"""The text-classification pipeline of Hugging Face Transformers, on this engine."""

from __future__ import annotations

import enum
import os
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from types import GeneratorType
from typing import Any, Union

from . import _engine
from .classifier import Classifier

Model = Union[str, "os.PathLike[str]", Classifier, None]

_TASKS = ("text-classification", "sentiment-analysis")
_PADDINGS = ("longest", "max_length", "do_not_pad")
_TRUNCATIONS = ("only_first", "only_second", "longest_first", "do_not_truncate")
_UNSET: Any = ""


class ClassificationFunction(enum.Enum):
    """Function that turns logits into scores."""

    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"
    NONE = "none"


def pipeline(
    task: str | None = None,
    model: Model = None,
    *,
    device: int | str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    revision: str | None = None,
    batch_size: int | None = None,
    **kwargs: Any,
) -> TextClassificationPipeline:
    """Make a pipeline with the inputs and outputs of Transformers' text-classification pipeline.

    ``model`` is a folder, the name of a model on the Hugging Face Hub, or a :class:`Classifier`; without it, the emotion
    model that comes with the package. ``top_k``, ``function_to_apply``, ``truncation``, ``max_length``, ``padding`` and
    ``batch_size`` mean the same as in Transformers, here and in calls. ``device`` is ``"cpu"`` or ``-1``, ``"cuda"``,
    ``"cuda:N"`` or ``N``, or ``"auto"``. ``precision`` and ``threads`` are those of :class:`Classifier`.

    >>> classify = pipeline("text-classification", top_k=2)
    >>> classify("I can't believe we won!")
    [[{'label': 'happiness', 'score': 0.597...}, {'label': 'surprise', 'score': 0.308...}]]
    """
    if task is not None and task not in _TASKS:
        known = ", ".join(_TASKS)
        raise KeyError(f"Unknown task {task}, available tasks are {known}")
    if not isinstance(model, Classifier):
        if isinstance(device, int):
            device = "cpu" if device < 0 else f"cuda:{device}"
        name = "cpu" if device is None else str(device)
        model = Classifier(
            model, precision=precision, threads=threads, device=name, revision=revision
        )
    return TextClassificationPipeline(model, batch_size=batch_size, **kwargs)


class TextClassificationPipeline:
    """A pipeline, made by :func:`pipeline`."""

    task = "text-classification"

    def __init__(self, model: Classifier, *, batch_size: int | None = None, **kwargs: Any) -> None:
        self.model = model
        self._batch_size = batch_size
        self._call, self._shape = _parameters(**kwargs)

    def __call__(
        self,
        inputs: Any,
        *args: Any,
        batch_size: int | None = None,
        num_workers: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Classify a text, a dictionary with the key ``text``, a list of these, or a generator or data set of them.

        A text or dictionary gives one result, a list a list, and a generator or data set an iterator, which reads
        ``batch_size`` texts at a time. Results don't depend on the batch size. ``num_workers`` does nothing.
        """
        if args:
            warnings.warn(f"Ignoring args : {args}", stacklevel=2)
        call, shape = _parameters(**kwargs)
        call, shape = {**self._call, **call}, {**self._shape, **shape}
        if isinstance(inputs, list):
            return self._answer(inputs, call, shape)
        if isinstance(inputs, GeneratorType) or _is_data_set(inputs):
            return self._stream(inputs, batch_size or self._batch_size or 1, call, shape)
        result = self._answer([inputs], call, shape)[0]
        # As in Transformers: one text without `top_k` in the call gives a list of one result.
        return [result] if isinstance(inputs, str) and "top_k" not in kwargs else result

    def _stream(
        self, inputs: Iterable[Any], size: int, call: dict[str, Any], shape: dict[str, Any]
    ) -> Iterator[Any]:
        """Classify inputs as they are asked for."""
        rest = iter(inputs)
        while batch := list(islice(rest, size)):
            yield from self._answer(batch, call, shape)

    def _answer(
        self, inputs: list[Any], call: dict[str, Any], shape: dict[str, Any]
    ) -> list[Any]:
        """Classify inputs."""
        function = shape.get("function_to_apply")
        if function is not None and not isinstance(function, ClassificationFunction):
            raise ValueError(f"Unrecognized `function_to_apply` argument: {function}")
        only_best = "top_k" not in shape
        end = shape.get("top_k")
        texts = [_text(one) for one in inputs]
        form = (None if function is None else function.value, only_best, end)
        return self.model._engine.answer(texts, _options(call), form)


def _parameters(
    *, top_k: Any = _UNSET, function_to_apply: Any = None, **call: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split arguments into those for the tokenizer and those for the results, as Transformers does."""
    shape: dict[str, Any] = {}
    if top_k is None or isinstance(top_k, int):
        shape["top_k"] = top_k
    if isinstance(function_to_apply, str):
        function_to_apply = ClassificationFunction[function_to_apply.upper()]
    if function_to_apply is not None:
        # That of Transformers is an enumeration with the same names.
        name = str(getattr(function_to_apply, "name", ""))
        known = name in ClassificationFunction.__members__
        shape["function_to_apply"] = ClassificationFunction[name] if known else function_to_apply
    for name in call:
        # Nothing is ever padded.
        if name not in ("truncation", "max_length", "padding"):
            raise TypeError(f"unexpected argument {name!r}")
    return call, shape


def _options(call: dict[str, Any]) -> tuple[str, int | None]:
    """Return the truncation and the limit that Transformers' tokenizers apply."""
    truncation, limit, padding = (call.get(name) for name in ("truncation", "max_length", "padding"))
    if padding is not None and not isinstance(padding, bool) and padding not in _PADDINGS:
        raise ValueError(f"{padding!r} is not a valid PaddingStrategy, please select one of {_PADDINGS}")
    if truncation is None:
        # A length alone truncates, unless texts are padded.
        truncation = limit is not None and padding in (None, False)
    if truncation is True or truncation in ("longest_first", "only_first"):
        return "auto", limit
    if truncation is False or truncation in ("do_not_truncate", "only_second"):
        return "error", None
    raise ValueError(
        f"{truncation!r} is not a valid TruncationStrategy, please select one of {_TRUNCATIONS}"
    )


def _text(value: Any) -> str:
    """Return the text of an input."""
    if isinstance(value, dict):
        if value.get("text_pair") is not None:
            raise ValueError("text pairs are not supported")
        if value.get("text") is None:
            raise ValueError("You need to specify `text`.")
        value = value["text"]
    elif isinstance(value, list):
        raise ValueError(
            "The pipeline received invalid inputs, if you are trying to send text pairs, you can try to send a"
            ' dictionary `{"text": "My text", "text_pair": "My pair"}` in order to send a text pair.'
        )
    if isinstance(value, str):
        return value
    raise ValueError(f"text input must be of type `str`, found {type(value).__name__}")


def _is_data_set(value: Any) -> bool:
    """Return ``True`` for data sets of PyTorch and of Hugging Face's `datasets`."""
    if isinstance(value, (str, dict, tuple, bytes)):
        return False
    return hasattr(value, "__getitem__") and (hasattr(value, "__len__") or hasattr(value, "__iter__"))
