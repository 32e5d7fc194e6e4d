"""The placement drawn as a chain of tiers, as inline SVG."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from offramp.cascade.manifest import Manifest
from offramp.links.network import Network
from offramp.planning.plan import Plan
from offramp.reporting.figures.style import GRID, INK, MUTED, tier_colour
from offramp.reporting.numbers import milliseconds, percent, rate
from offramp.reporting.words import tier_shares

__all__ = ["chain_svg"]

_WIDTH, _GAP, _SQUARE, _LINE = 1040, 130, 34, 22


@dataclass(frozen=True)
class _TierBox:
    """What one box of the drawing says."""

    name: str
    colour: str
    slow_down: float
    segments: list[int]
    exits: list[str]
    answered: float | None


def chain_svg(plan: Plan, manifest: Manifest, network: Network | None = None) -> str:
    """Tiers as boxes with their segments and exits; links as arrows with rate, delay and share."""
    boxes = _boxes(plan, manifest, network)
    gap = _GAP if len(boxes) > 1 else 0
    width = (_WIDTH - gap * (len(boxes) - 1)) / len(boxes)
    height = 150 + _LINE * max(len(box.exits) for box in boxes)
    parts = [_box_svg(box, index * (width + gap), width, height) for index, box in enumerate(boxes)]
    left_over = 1.0
    for index in range(len(boxes) - 1):
        left_over -= boxes[index].answered or 0.0
        crossing = left_over if boxes[index].answered is not None else None
        x = index * (width + gap) + width
        parts.append(_arrow_svg(x, gap, height, network, index, crossing))
    return (
        f'<svg class="chain" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="placement of the segments on the tiers">{"".join(parts)}</svg>'
    )


def _boxes(plan: Plan, manifest: Manifest, network: Network | None) -> list[_TierBox]:
    share = plan.predicted.exit_share if plan.predicted else None
    shares = tier_shares(plan, manifest.exit_segments, share) if share else None
    boxes = []
    for index, tier in enumerate(plan.tiers):
        segments = list(plan.tier_range(tier))
        exits = [
            _exit_text(plan, manifest, e) for e, segment in enumerate(manifest.exit_segments) if segment in segments
        ]
        slow_down = network.tier(tier).slow_down if network and tier in network.tier_names else 1.0
        boxes.append(_TierBox(tier, tier_colour(index), slow_down, segments, exits, shares[tier] if shares else None))
    return boxes


def _exit_text(plan: Plan, manifest: Manifest, index: int) -> str:
    name = manifest.exit_names[index]
    share = f": {percent(plan.predicted.exit_share[index])}" if plan.predicted else ""
    if index == len(plan.gates):
        return f"{name}{share}"
    gate = plan.gates[index]
    if gate.threshold is None:
        return f"{name}: off"
    score = "" if gate.gate is None else f"{gate.score} "
    return f"{name}{share} ({score}≥ {gate.threshold:.3f})"


def _box_svg(box: _TierBox, x: float, width: float, height: float) -> str:
    idle = not box.segments
    colour = MUTED if idle else box.colour
    dashes = ' stroke-dasharray="5 5"' if idle else ""
    parts = [
        f'<rect x="{x + 1:.0f}" y="1" width="{width - 2:.0f}" height="{height - 2:.0f}" rx="10" fill="white" '
        f'stroke="{colour}" stroke-width="2"{dashes}/>',
        _text(x + 18, 32, box.name, 18, colour, "600"),
    ]
    if box.slow_down != 1:
        parts.append(_text(x + width - 18, 32, f"{box.slow_down:g}x slower", 13, MUTED, anchor="end"))
    if idle:
        return "".join([*parts, _text(x + 18, 66, "runs nothing", 14, MUTED)])
    side = min(_SQUARE, (width - 36) / len(box.segments) - 4)
    for place, segment in enumerate(box.segments):
        left = x + 18 + place * (side + 4)
        parts.append(
            f'<rect x="{left:.1f}" y="50" width="{side:.1f}" height="{_SQUARE}" rx="5" fill="{colour}" opacity="0.9"/>'
        )
        parts.append(_text(left + side / 2, 72, str(segment), 13, "white", "600", "middle"))
    for line, text in enumerate(box.exits):
        parts.append(_text(x + 18, 112 + _LINE * line, f"exit {text}", 13.5, INK))
    if box.answered is not None:
        parts.append(_text(x + 18, height - 18, f"answers {percent(box.answered)}", 15, colour, "600"))
    return "".join(parts)


def _arrow_svg(x: float, gap: float, height: float, network: Network | None, index: int, crossing: float | None) -> str:
    middle, y = x + gap / 2, height / 2
    idle = crossing is not None and crossing < 1e-9
    colour = GRID if idle else INK
    parts = [
        f'<path d="M{x + 8:.0f} {y:.0f}H{x + gap - 10:.0f}m-8 -5l8 5l-8 5" fill="none" '
        f'stroke="{colour}" stroke-width="1.6"/>'
    ]
    if network and index < len(network.links):
        link = network.links[index]
        parts.append(_text(middle, y - 30, rate(link.bandwidth_bps), 13, MUTED, anchor="middle"))
        parts.append(_text(middle, y - 12, f"{milliseconds(link.rtt_s)} rtt", 13, MUTED, anchor="middle"))
    if crossing is not None:
        words = "unused" if idle else f"{percent(abs(crossing))} go on"
        parts.append(_text(middle, y + 24, words, 13, MUTED if idle else INK, anchor="middle"))
    return "".join(parts)


def _text(x: float, y: float, text: str, size: float, colour: str, weight: str = "400", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )
