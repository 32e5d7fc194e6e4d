"""Rows that wait to be computed."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from offramp.runtime.work import Part, Stage, Work

__all__ = ["WorkQueue"]


class WorkQueue:
    """Parts of requests that wait, each with those it can be computed with; not locked.

    The stage whose most urgent part has the earliest deadline comes first, equal ones in the order in which their
    requests came. So rows that have begun go on before new ones.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._stages: dict[Stage, list[tuple[float, int, int, Part]]] = {}
        self._rows: dict[Stage, int] = {}

    def __bool__(self) -> bool:
        return bool(self._stages)

    def put(self, part: Part) -> None:
        """Let a part wait."""
        work = part.work
        heappush(self._stages.setdefault(part.stage, []), (work.due_s, work.sequence, int(part.at[0]), part))
        self._rows[part.stage] = self._rows.get(part.stage, 0) + len(part)
        self.rows += len(part)

    def head(self) -> Part:
        """The most urgent part; there must be one."""
        return min(heap[0] for heap in self._stages.values())[3]

    def rows_with(self, part: Part) -> int:
        """Rows at the stage of a part, its own included."""
        return self._rows[part.stage]

    def rows_of_others(self, parts: Sequence[Part]) -> int:
        """Rows that wait and are of no request in ``parts``."""
        own = {part.work.sequence for part in parts}
        return sum(len(entry[3]) for heap in self._stages.values() for entry in heap if entry[1] not in own)

    def take(self, max_rows: int) -> list[Part]:
        """The most urgent part and what fits beside it, at most ``max_rows`` rows; none when nobody waits.

        Only a part that is too large by itself is split.
        """
        if not self._stages:
            return []
        stage = self.head().stage
        heap, room = self._stages[stage], max_rows
        taken: list[Part] = []
        kept: list[tuple[float, int, int, Part]] = []
        while heap and room:
            entry = heappop(heap)
            part = entry[3]
            if len(part) <= room:
                taken.append(part)
                room -= len(part)
            elif not taken:
                first, rest = part.split(room)
                taken.append(first)
                kept.append((entry[0], entry[1], int(rest.at[0]), rest))
                room = 0
            else:
                kept.append(entry)
        for entry in kept:
            heappush(heap, entry)
        self._forget(stage, max_rows - room)
        return taken

    def clear(self) -> list[Work]:
        """Let go of everybody; returns whose rows they were."""
        works = {entry[3].work.sequence: entry[3].work for heap in self._stages.values() for entry in heap}
        self._stages.clear()
        self._rows.clear()
        self.rows = 0
        return list(works.values())

    def _forget(self, stage: Stage, rows: int) -> None:
        self.rows -= rows
        self._rows[stage] -= rows
        if not self._stages[stage]:
            del self._stages[stage], self._rows[stage]
