"""One batch: parts of several requests, computed together up to the next exit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from offramp.errors import DeadlineExceeded, Overloaded
from offramp.runtime.rows import Rows
from offramp.runtime.tier import Tier
from offramp.runtime.work import Part, Stage, Work

__all__ = ["Outcome", "compute"]

#: a request that lost this share of its time to those before it, and cannot be in time any more, is refused
LOST_SHARE = 0.1


@dataclass(slots=True)
class Outcome:
    """What a batch came to: ``done`` are requests computed or failed, ``going_on`` rows for the next segment."""

    done: list[Work] = field(default_factory=list)
    going_on: list[Part] = field(default_factory=list)


def compute(tier: Tier, parts: Sequence[Part], *, alone: bool, crowded: bool) -> Outcome:
    """Compute parts that stand at the same stage, and give each request its own rows back.

    An error of one request (damaged bytes, values the model cannot take) is that request's alone.

    Parameters
    ----------
    tier : computes and decides
    parts : of one stage; those nobody waits for any more are left out
    alone : nobody else waits, so a single request need not stop at the exits in between
    crowded : too many wait: rows with an answer leave with it, marked ``overload``
    """
    outcome = Outcome()
    ready = [part for part in parts if _read(tier, part, outcome)]
    if len(ready) == 1 and alone and len(ready[0]) == len(ready[0].work.answers):
        _whole(tier, ready[0], outcome)
    elif ready:
        _together(tier, ready, crowded, outcome)
    return outcome


def _read(tier: Tier, part: Part, outcome: Outcome) -> bool:
    """Whether a part can be computed; reads its tensors if that has not been done."""
    work = part.work
    if not work.wanted:
        return False
    if work.started:
        return True
    try:
        _require_time(tier, part)
        work.inputs()
    except Exception as error:
        _fail(work, error, outcome)
        return False
    return True


def _require_time(tier: Tier, part: Part) -> None:
    work, now_s = part.work, tier.clock.now()
    if work.deadline_s is None:
        return
    if now_s > work.deadline_s:
        raise DeadlineExceeded(f"tier {tier.name!r} had other work until the deadline had passed")
    waited_s, had_s = now_s - work.begin_s, work.deadline_s - work.begin_s
    if waited_s > LOST_SHARE * had_s and not tier.in_time(
        work.route, work.cut, work.route.stop, len(part), work.deadline_s
    ):
        raise Overloaded(
            f"tier {tier.name!r} is overloaded: after {waited_s:.3g} s in the queue the deadline cannot be met"
        )


def _whole(tier: Tier, part: Part, outcome: Outcome) -> None:
    """One request that nobody waits behind: all the way in one go."""
    work = part.work
    try:
        run = tier.run(work.route, part.stage.cut, part.tensors, work.deadline_s, part.labels)
        if part.held is not None:
            run.rows = work.merged(run.rows)
        work.complete(run)
    except Exception as error:
        _fail(work, error, outcome)
        return
    outcome.done.append(work)


def _together(tier: Tier, parts: Sequence[Part], crowded: bool, outcome: Outcome) -> None:
    work, cut = parts[0].work, parts[0].stage.cut
    stop = min(work.route.stop, tier.next_exit(cut))
    single = len(parts) == 1
    try:
        columns = zip(*(part.tensors for part in parts), strict=True)
        tensors = parts[0].tensors if single else tuple(np.concatenate(column) for column in columns)
        known = [part.labels for part in parts if part.labels is not None]
        labels = None if not known else np.concatenate(known, axis=1)
        run = tier.run(work.route, cut, tensors, None, labels, stop=stop)
    except Exception as error:
        if single:
            _fail(work, error, outcome)
        else:  # one of them cannot be computed: the others must not suffer for it
            for part in parts:
                _together(tier, [part], crowded, outcome)
        return
    begin, seconds, total = 0, run.rows.compute_s[tier.name], len(run.rows)
    for part in parts:
        end = begin + len(part)
        rows = _between(run.rows, begin, end)
        rows.compute_s[tier.name] = seconds * len(part) / total
        part.work.put(part.at, rows)
        low, high = np.searchsorted(run.survivors, (begin, end))
        here = run.survivors[low:high] - begin
        held = tuple(tensor[low:high] for tensor in run.tensors)
        known_here = None if run.earlier_labels is None else run.earlier_labels[:, low:high]
        stage = Stage(
            part.stage.plan_id, stop, tuple(tensor.shape[1:] for tensor in held), run.earlier_labels is not None
        )
        done = len(part) > len(here) and part.work.leave(len(part) - len(here))
        if len(here):
            done = _send_on(tier, Part(part.work, part.at[here], stage, (held, known_here)), crowded, outcome)
        if done:
            _finish(part.work, outcome)
        begin = end


def _send_on(tier: Tier, part: Part, crowded: bool, outcome: Outcome) -> bool:
    """Where survivors go: out of this tier, on in it, or out with the answer they have; whether all is done."""
    work, cut = part.work, part.stage.cut
    if cut >= work.route.stop:
        return work.hand_on(part)
    reason = ""
    if work.deadline_s is not None and not tier.in_time(work.route, cut, work.route.stop, len(part), work.deadline_s):
        reason = "deadline"
    elif crowded:
        reason = "overload"
    if reason and (work.answers.exit[part.at] >= 0).all():
        work.answers.mark(reason, part.at)
        return work.leave(len(part))
    outcome.going_on.append(part)
    return False


def _finish(work: Work, outcome: Outcome) -> None:
    try:
        work.complete(work.result())
    except Exception as error:
        _fail(work, error, outcome)
        return
    outcome.done.append(work)


def _fail(work: Work, error: Exception, outcome: Outcome) -> None:
    if work.error is None:
        work.error = error
        outcome.done.append(work)


def _between(rows: Rows, begin: int, end: int) -> Rows:
    """Some rows, without seconds."""
    return Rows(
        rows.label[begin:end],
        rows.probabilities[begin:end],
        rows.confidence[begin:end],
        rows.exit[begin:end],
        rows.tier[begin:end],
        rows.degraded[begin:end],
    )
