"""Functions that write model folders."""

from __future__ import annotations

import os
from typing import Union

from . import _engine

Path = Union[str, "os.PathLike[str]"]


def convert(source: Path, target: Path, dtype: str | None = None) -> None:
    """Write a model folder with safetensors weights, from any folder that can be loaded.

    ``dtype`` is the type of the written weights: ``f32``, ``f16``, ``bf16`` or ``int8``. Without it, each tensor keeps
    its type. Existing files are never overwritten.
    """
    _engine.convert(os.fspath(source), os.fspath(target), dtype)


def quantize(source: Path, target: Path) -> None:
    """Write a model folder whose weights and embeddings are stored in 8 bits.

    It is about a quarter of the size of an f32 checkpoint, and loads as ``int8``.
    """
    _engine.convert(os.fspath(source), os.fspath(target), "int8")
