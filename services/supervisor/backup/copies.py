"""Many files, copied several at a time: most of what each of them takes is waiting for the disk."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from services.supervisor.files import Copied, copy_file

AT_ONCE = 8
IN_HAND = 512
"""Copies that are under way or waiting, since there may be very many."""


class Copies:
    """Copies files for the time of a `with` block; what is under way at its end is given up."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE)
        self._over = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._threads.shutdown(cancel_futures=True)

    def of(self, files: Iterable[tuple[Path, Path]]) -> Iterator[Copied | None]:
        """Copies from the one to the other, as `copy_file` does; what was copied, in this order. None for no source.

        Raises CommandError.
        """
        remaining = iter(files)
        while some := list(itertools.islice(remaining, IN_HAND)):
            yield from self._threads.map(self._copy, some)

    def _copy(self, file: tuple[Path, Path]) -> Copied | None:
        try:
            return copy_file(*file, self._over.is_set)
        except FileNotFoundError:
            return None
