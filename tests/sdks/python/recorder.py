"""Notes which methods of the SDK the cases have used, so that `surface.py` can tell which they have not."""

from collections.abc import Callable
from typing import Any


class Recorder:
    """Stands before an SDK object, which stays as it is: what it calls on itself does not pass here."""

    def __init__(self, subject: Any) -> None:
        self.subject = subject
        self.used: set[str] = set()
        """Names of the methods that a case has called and that have done what they were asked for."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.subject, name)
        return self._noting(name, value) if callable(value) else value

    def _noting(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: object, **kwargs: object) -> Any:
            answer = method(*args, **kwargs)
            self.used.add(name)  # not before: a refused call would prove little
            return answer

        return call
