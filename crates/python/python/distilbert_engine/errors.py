"""Exceptions. Each is an :class:`Error` and also a matching built-in exception."""


class Error(Exception):
    """Base class of the exceptions of this package."""


class FileError(Error, OSError):
    """A file or folder could not be read or written."""


class ConfigError(Error, ValueError):
    """A JSON file of the model is invalid."""


class CheckpointError(Error, ValueError):
    """The weights cannot be loaded or written."""


class InputError(Error, ValueError):
    """A text cannot be tokenized, or the model cannot process a batch."""


class DeviceError(Error, RuntimeError):
    """The processor, the threads or the GPU cannot be used."""


class PrecisionError(Error, ValueError):
    """The model or the operation does not support the requested precision."""


class BatcherError(Error, RuntimeError):
    """A queued request was not processed."""


class ExplainError(Error, ValueError):
    """A prediction cannot be explained."""


class HubError(Error, OSError):
    """A model cannot be fetched from the Hugging Face Hub."""


class OptionError(Error, ValueError):
    """An option has an unknown value."""


class EvaluationError(Error, ValueError):
    """Texts and labels cannot be evaluated."""


class TableError(Error, ValueError):
    """A table cannot be classified."""
