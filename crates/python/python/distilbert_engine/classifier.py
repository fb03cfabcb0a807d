"""The classifier."""

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, overload

from . import _engine
from ._engine import Prediction
from ._progress import bar
from .results import Evaluation, Explanation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

#: Folder of the emotion model that comes with the package.
BUNDLED_MODEL = Path(__file__).resolve().parent / "model"

#: ``True`` cuts texts that are too long, on the side that the model specifies; ``False`` rejects them. Names are
#: ``auto``, ``right``, ``left``, ``error``, ``windows``, ``windows:STRIDE`` and ``windows:STRIDE,MAX``.
Truncation = Union[bool, str, None]

atexit.register(_engine.close)

_shared: dict[Any, Classifier] = {}


class Classifier:
    """A DistilBERT sequence classifier, loaded and ready to use.

    All methods can be called from any number of threads at once; they compute without holding the GIL. A text has the
    same logits, bit for bit, alone or in a batch, on any number of threads.

    ``path_or_name`` is a model folder in the layout of Hugging Face Transformers, or the name of a model on the Hugging
    Face Hub; without it, the emotion model that comes with the package is loaded.

    ``precision`` is ``f32``, ``f16``, ``bf16``, ``int8``, ``cascade``, ``cascade:MARGIN`` or ``auto``; by default
    ``int8`` for an int8 checkpoint, otherwise ``f32`` on the CPU and ``f16`` on a GPU. ``threads`` is the number of
    threads that share the work of one call; by default the number of physical cores. With 1, calls from several threads
    run in parallel.

    >>> classifier = Classifier(precision="int8", threads=1)
    >>> classifier.classify(["I miss you so much.", "What a shock!"])
    [Prediction(label="sadness", score=0.8929), Prediction(label="surprise", score=0.8909)]
    """

    def __init__(
        self,
        path_or_name: str | os.PathLike[str] | None = None,
        *,
        precision: str | None = None,
        threads: int | None = None,
        device: str = "cpu",
        truncation: Truncation = None,
        instruction_set: str | None = None,
        revision: str | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads should be at least 1, found {threads}")
        model = BUNDLED_MODEL if path_or_name is None else path_or_name
        self._folder: str = os.path.abspath(_engine.locate(os.fspath(model), revision))
        self._settings = (precision, threads, device, _truncation(truncation), instruction_set)
        self._engine = _engine.Engine(self._folder, self._settings)

    @classmethod
    def shared(
        cls, path_or_name: str | os.PathLike[str] | None = None, **settings: Any
    ) -> Classifier:
        """Return this process's classifier with these arguments, which the first call loads.

        Call it for each batch, in functions that a system such as Spark sends to its workers.
        """
        key = (None if path_or_name is None else os.fspath(path_or_name), *sorted(settings.items()))
        found = _shared.get(key)
        if found is None:
            # Without a lock, which a forked child could inherit locked. Two threads may both load the model; one is kept.
            found = _shared.setdefault(key, cls(path_or_name, **settings))
        return found

    # Pickles send the path and the settings. The process that reads them loads the model.
    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self._folder, "settings": self._settings}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._folder, self._settings = state["folder"], state["settings"]
        self._engine = _engine.Engine(self._folder, self._settings)

    def __repr__(self) -> str:
        info = self.info
        return (
            f"Classifier({self._folder!r}, precision={info['precision']!r}, "
            f"threads={info['threads']}, device={info['device']!r})"
        )

    @property
    def labels(self) -> list[str]:
        """The labels, in the order of the logits."""
        return self._engine.labels

    @property
    def problem_type(self) -> str:
        """``single_label_classification``, ``multi_label_classification`` or ``regression``."""
        return self._engine.problem_type

    @property
    def max_tokens(self) -> int:
        """Maximum number of tokens that the model reads at once, special tokens included."""
        return self._engine.max_tokens

    @property
    def info(self) -> dict[str, Any]:
        """Properties of the model and of the processor that runs it."""
        return self._engine.info

    @overload
    def classify(  # type: ignore[overload-overlap]
        self,
        texts: str,
        *,
        truncation: Truncation = None,
        max_tokens: int | None = None,
        progress: bool = False,
    ) -> Prediction: ...

    @overload
    def classify(
        self,
        texts: Iterable[str],
        *,
        truncation: Truncation = None,
        max_tokens: int | None = None,
        progress: bool = False,
    ) -> list[Prediction]: ...

    def classify(
        self,
        texts: str | Iterable[str],
        *,
        truncation: Truncation = None,
        max_tokens: int | None = None,
        progress: bool = False,
    ) -> Prediction | list[Prediction]:
        """Classify one text, or many.

        ``truncation`` overrides that of the classifier. ``max_tokens`` lowers the model's limit. ``progress`` shows a
        bar, which needs ``tqdm``. Ctrl-C interrupts a long list.
        """
        options = (_truncation(truncation), max_tokens)
        if isinstance(texts, str):
            return self._engine.classify(texts, options)
        rows = texts if isinstance(texts, list) else list(texts)
        with bar(progress, len(rows), "texts") as advance:
            return self._engine.classify_many(rows, options, advance)

    async def classify_async(
        self, text: str, *, truncation: Truncation = None, max_tokens: int | None = None
    ) -> Prediction:
        """Classify one text without blocking the event loop.

        Texts that wait at the same time are processed in batches. Canceling drops the request.
        """
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[None] = loop.create_future()
        callback = partial(loop.call_soon_threadsafe, _set, answered)
        options = (_truncation(truncation), max_tokens)
        request = self._engine.submit(text, options, callback)
        try:
            await answered
        except asyncio.CancelledError:
            request.cancel()
            raise
        return request.result()

    def logits(
        self, input_ids: ArrayLike, attention_mask: ArrayLike | None = None
    ) -> NDArray[np.float32]:
        """Compute the logits of padded token ids, an array of shape ``[rows, labels]``.

        Both arrays have the shape ``[rows, tokens]``. Tokens whose mask is 0 are neither copied nor processed. Contiguous
        arrays of integers are read in place.
        """
        import numpy as np

        ids = np.ascontiguousarray(input_ids)
        mask = None if attention_mask is None else np.ascontiguousarray(attention_mask)
        return self._engine.logits(ids, mask)

    def explain(
        self,
        text: str,
        *,
        target: str | None = None,
        against: str | None = None,
        method: str = "lrp",
        objective: str = "logit",
        attention: bool = False,
        curves: bool = False,
        truncation: Truncation = None,
    ) -> Explanation:
        """Explain a prediction: which words it is based on. Notebooks show the explanation as pictures.

        ``target`` is the label to explain, by default the predicted one; ``against`` is a label to compare it with.
        ``method`` is ``lrp``, ``attnlrp``, ``gradient-x-input``, ``integrated-gradients`` or
        ``integrated-gradients:STEPS``; ``objective`` is ``logit`` or ``probability``. ``attention`` adds the attention
        probabilities, and ``curves`` the target's probability as words are removed.
        """
        options = (target, against, method, objective, attention, _truncation(truncation))
        return Explanation(self._engine.explain(text, options, curves), self._folder)

    def evaluate(
        self,
        texts: Iterable[str],
        labels: Iterable[Any],
        *,
        bins: int = 15,
        top_k: int = 3,
        mistakes: int = 20,
        resamples: int = 2000,
        seed: int = 0,
        truncation: Truncation = None,
        progress: bool = False,
    ) -> Evaluation:
        """Classify labeled texts and compute the metrics.

        A label is the name or the index of one of the model's labels; for a multi-label model, a list of them. ``bins``
        is the number of calibration bins, ``top_k`` the largest k of the top-k accuracies, ``mistakes`` the maximum
        number of mistakes to list, and ``resamples`` the number of bootstrap resamples.
        """
        rows, truth = list(texts), [self._ids(label) for label in labels]
        options = (bins, top_k, mistakes, resamples, seed)
        call = (_truncation(truncation), None)
        with bar(progress, len(rows), "texts") as advance:
            report = _engine.evaluate(self._engine, (rows, truth), options, call, advance)
        return Evaluation(report, self._folder)

    def classify_arrow(
        self,
        data: Any,
        column: str,
        *,
        label: str = "label",
        score: str = "score",
        scores: bool | str = False,
        truncation: Truncation = None,
        max_tokens: int | None = None,
        progress: bool = False,
    ) -> Any:
        """Classify a column of an Arrow table, such as one from pyarrow, polars or DuckDB.

        The result has all columns of the table and the new columns ``label`` and ``score``; with ``scores``, also one
        for each label, named by the label or, if ``scores`` is a string, by the string and the label. Nulls stay null.
        The texts are read in place: strings of any type, including string views and dictionaries, are not copied.

        A ``pyarrow.RecordBatch``, ``pyarrow.Table`` or ``polars.DataFrame`` gives a result of the same type; any other
        object with ``__arrow_c_stream__`` or ``__arrow_c_array__`` gives an :class:`ArrowTable`, which these libraries
        accept.
        """
        prefix = (scores if isinstance(scores, str) else "") if scores is not False else None
        total = len(data) if hasattr(data, "__len__") else None
        with bar(progress, total, "rows") as advance:
            table = self._engine.classify_arrow(
                _capsules(data),
                (column, label, score, prefix),
                (_truncation(truncation), max_tokens),
                advance,
            )
        return _like(data, table)

    def _ids(self, label: Any) -> list[int]:
        """Return the indices of a row's labels."""
        several = isinstance(label, Sequence) and not isinstance(label, str)
        index: Mapping[str, int] = {name: at for at, name in enumerate(self.labels)}
        ids = []
        for one in label if several else [label]:
            if isinstance(one, str):
                if one not in index:
                    raise ValueError(f"unknown label {one!r}; expected one of {', '.join(index)}")
                ids.append(index[one])
            else:
                ids.append(one.__index__())
        return ids


def _truncation(value: Truncation) -> str | None:
    """Return the name of a truncation."""
    if isinstance(value, bool):
        return "auto" if value else "error"
    return value


def _set(future: asyncio.Future[None]) -> None:
    """Wake the task that waits, unless it was canceled."""
    if not future.done():
        future.set_result(None)


def _capsules(data: Any) -> Any:
    """Return the capsules of Arrow's C data interface."""
    for name in ("__arrow_c_array__", "__arrow_c_stream__"):
        method: Callable[[], Any] | None = getattr(data, name, None)
        if method is not None:
            return method()
    kind = type(data).__name__
    raise TypeError(f"expected a table with __arrow_c_stream__ or __arrow_c_array__, found {kind}")


def _like(data: Any, table: _engine.ArrowTable) -> Any:
    """Return a table as the kind of another one, for kinds that are known."""
    module, kind = type(data).__module__.partition(".")[0], type(data).__name__
    if module == "pyarrow":
        import pyarrow

        if kind == "RecordBatch":
            return pyarrow.RecordBatchReader.from_stream(table).read_next_batch()
        return pyarrow.table(table)
    if module == "polars":
        import polars

        return polars.DataFrame(table)
    return table
