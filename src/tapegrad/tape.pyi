"""The tape of the compiled core, for looking inside."""

from typing_extensions import disjoint_base

@disjoint_base
class Tape:
    max_nodes: int
    @property
    def capacity(self) -> int: ...
    def __len__(self) -> int: ...
    def compact(self) -> int: ...
    def rows(self, first: int = 1) -> list[tuple[int, str, int, int, float, float, bool]]: ...

tape: Tape
OPERATIONS: tuple[str, ...]
