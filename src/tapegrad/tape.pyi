"""The tape of the compiled core, for looking inside."""

from typing_extensions import disjoint_base

@disjoint_base
class Tape:
    max_nodes: int
    @property
    def capacity(self) -> int: ...
    def __len__(self) -> int: ...
    def compact(self) -> int: ...

tape: Tape
OPERATIONS: tuple[str, ...]
