"""DistilBERT text classification without PyTorch: classify, explain and evaluate.

>>> from distilbert_engine import Classifier
>>> classifier = Classifier()
>>> classifier.classify("I can't believe we won!").label
'happiness'

``Classifier`` without a model loads the emotion model that comes with the package. ``pipeline`` has the inputs and
outputs of the text-classification pipeline of Hugging Face Transformers.
"""

from ._engine import ArrowTable, Prediction, __version__
from .checkpoints import convert, quantize
from .classifier import BUNDLED_MODEL, Classifier
from .errors import (
    BatcherError,
    CheckpointError,
    ConfigError,
    DeviceError,
    Error,
    EvaluationError,
    ExplainError,
    FileError,
    HubError,
    InputError,
    OptionError,
    PrecisionError,
    TableError,
)
from .pipelines import TextClassificationPipeline, pipeline
from .results import Evaluation, Explanation, Word

__all__ = [
    "BUNDLED_MODEL",
    "ArrowTable",
    "BatcherError",
    "CheckpointError",
    "Classifier",
    "ConfigError",
    "DeviceError",
    "Error",
    "Evaluation",
    "EvaluationError",
    "ExplainError",
    "Explanation",
    "FileError",
    "HubError",
    "InputError",
    "OptionError",
    "PrecisionError",
    "Prediction",
    "TableError",
    "TextClassificationPipeline",
    "Word",
    "__version__",
    "convert",
    "pipeline",
    "quantize",
]
