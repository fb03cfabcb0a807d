"""Progress bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(shown: bool, total: int | None, unit: str) -> Iterator[Callable[[int], object] | None]:
    """Show a bar, and give the function that advances it; ``None`` if there is none."""
    if not shown:
        yield None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, unit=f" {unit}") as progress:
        yield progress.update
