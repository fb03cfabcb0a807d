from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ArrowTable",
    "Engine",
    "Explanation",
    "Prediction",
    "Report",
    "Request",
    "__version__",
    "close",
    "convert",
    "evaluate",
    "locate",
    "restore_prediction",
    "run_program",
]

__version__: str

_Call = tuple[str | None, int | None]
_Fields = tuple[
    list[str], list[float], list[float], float, str, int, int | None, int | None
]
_Advance = Callable[[int], object] | None

@final
class Engine:
    def __new__(
        cls,
        folder: str,
        settings: tuple[str | None, int | None, str, str | None, str | None],
    ) -> Engine: ...
    @property
    def labels(self) -> list[str]: ...
    @property
    def problem_type(self) -> str: ...
    @property
    def max_tokens(self) -> int: ...
    @property
    def info(self) -> dict[str, Any]: ...
    def classify(self, text: str, options: _Call) -> Prediction: ...
    def classify_many(
        self, texts: list[str], options: _Call, progress: _Advance
    ) -> list[Prediction]: ...
    def answer(
        self, texts: list[str], options: _Call, shape: tuple[str | None, bool, int | None]
    ) -> list[Any]: ...
    def logits(
        self, input_ids: NDArray[Any], attention_mask: NDArray[Any] | None
    ) -> NDArray[np.float32]: ...
    def explain(
        self,
        text: str,
        options: tuple[str | None, str | None, str, str, bool, str | None],
        curves: bool,
    ) -> Explanation: ...
    def submit(self, text: str, options: _Call, callback: Callable[[], object]) -> Request: ...
    def classify_arrow(
        self,
        table: Any,
        output: tuple[str, str, str, str | None],
        options: _Call,
        progress: _Advance,
    ) -> ArrowTable: ...

@final
class Prediction:
    """Prediction for one text."""

    @property
    def index(self) -> int:
        """Index of the label with the highest score."""

    @property
    def label(self) -> str:
        """Label with the highest score; the first one in a tie."""

    @property
    def score(self) -> float:
        """Highest score."""

    @property
    def labels(self) -> list[str]:
        """Labels of the model, in the order of the logits."""

    @property
    def scores(self) -> dict[str, float]:
        """Scores by label; labels that occur more than once are numbered."""

    @property
    def logits(self) -> list[float]:
        """Logits, in the order of the labels."""

    @property
    def margin(self) -> float:
        """How far, in logits, the prediction is from other labels."""

    @property
    def precision(self) -> str:
        """Precision in which the logits were computed."""

    @property
    def tokens(self) -> int:
        """Number of tokens that the model read, special tokens included."""

    @property
    def truncated(self) -> bool:
        """True if a part of the text was not read."""

    @property
    def truncated_at(self) -> int | None:
        """Character at which the text was cut."""

    @property
    def dropped_tokens(self) -> int | None:
        """Number of tokens that were not read; None if they were not counted."""

    def top_k(self, k: int) -> list[tuple[str, float]]:
        """The k labels with the highest scores, best first."""

    def labels_above(self, threshold: float = 0.5) -> list[tuple[str, float]]:
        """Labels whose score is at least the threshold, best first."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __reduce__(self) -> tuple[Any, tuple[_Fields]]: ...

def restore_prediction(fields: _Fields) -> Prediction: ...
@final
class Explanation:
    @property
    def prediction(self) -> Prediction: ...
    def json(self) -> str: ...
    def html(self, settings: list[tuple[str, str]]) -> str: ...
    def pictures(self) -> list[tuple[str, str]]: ...

@final
class Report:
    def json(self) -> str: ...
    def text(self, digits: int) -> str: ...
    def html(self, digits: int, settings: list[tuple[str, str]]) -> str: ...

@final
class Request:
    def result(self) -> Prediction: ...
    def cancel(self) -> None: ...
    def queued(self) -> int: ...

@final
class ArrowTable:
    """Table in Arrow's format, which pyarrow, polars and DuckDB accept as is."""

    @property
    def num_rows(self) -> int:
        """Number of rows."""

    @property
    def column_names(self) -> list[str]:
        """Names of the columns."""

    def __len__(self) -> int: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

def convert(from_: str, to: str, dtype: str | None) -> None: ...
def locate(model: str, revision: str | None) -> Path: ...
def evaluate(
    engine: Engine,
    rows: tuple[list[str], list[list[int]]],
    report: tuple[int, int, int, int, int],
    options: _Call,
    progress: _Advance,
) -> Report: ...
def run_program(arguments: list[str], model: str) -> int: ...
def close() -> None: ...
