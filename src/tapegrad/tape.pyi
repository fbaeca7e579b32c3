"""The tape of the compiled core, for looking inside."""

from typing import Self

from typing_extensions import disjoint_base

@disjoint_base
class Tape:
    max_nodes: int
    @property
    def capacity(self) -> int: ...
    def __len__(self) -> int: ...
    def compact(self) -> int: ...
    def rows(self, first: int = 1) -> list[tuple[int, str, int, int, float, float, bool]]: ...

# for recording.py and its neighbours
@disjoint_base
class Still:
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: object, error: object, traceback: object) -> None: ...

@disjoint_base
class Recording:
    start: int
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: object, error: object, traceback: object) -> None: ...

tape: Tape
OPERATIONS: tuple[str, ...]
