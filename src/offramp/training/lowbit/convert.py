"""Making parts of a network low-bit."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from torch import nn

from offramp.errors import ConfigError
from offramp.training.attach import ExitPlacement
from offramp.training.cut import cut_after
from offramp.training.lowbit.block import SHORTCUT_GRID, LowBitBlock, PublishedBlock
from offramp.training.lowbit.conv import LowBitConv2d
from offramp.training.lowbit.exact import FixedPointConv2d, PlainNorm
from offramp.training.lowbit.hand_over import HandOver, WithHandOver
from offramp.training.lowbit.spec import LowBit
from offramp.training.zoo.resnet import ResidualBlock

__all__ = ["add_hand_over", "edge_modules", "freeze", "make_low_bit"]

#: bits behind the binary point of the first convolution's inputs (normalised pixels) and weights
FIRST_GRID = (6, 12)

#: activations with no exact arithmetic; a ReLU takes their place
_CURVED = (nn.GELU, nn.SiLU, nn.ELU, nn.Mish, nn.Hardswish)
_SIMPLE = (
    *(nn.ReLU, nn.ReLU6, nn.PReLU, nn.LeakyReLU, nn.Hardtanh, nn.Identity, nn.Flatten, nn.Dropout, nn.Dropout2d),
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.ZeroPad2d),
)
#: what is not made low-bit, but may stand in a low-bit part: where a classifier ends
_ALLOWED = (*_SIMPLE, *_CURVED, nn.Linear, nn.BatchNorm2d, nn.Conv2d)


def edge_modules(module: nn.Module, exits: Sequence[ExitPlacement], segments: int) -> tuple[str, ...]:
    """Paths of all leaf modules of the first ``segments`` segments.

    Raises
    ------
    ConfigError : there are fewer segments before the last
    """
    if not 1 <= segments <= len(exits):
        raise ConfigError(
            f"lowbit.segments = {segments}: the network has {len(exits) + 1} segments, and the last one stays in full "
            f"precision; choose 1 to {len(exits)}"
        )
    parts = cut_after(module, [place.after for place in exits])[:segments]
    return tuple(
        str(node.target) for part in parts for node in part.graph.nodes if node.op == "call_module" and node.target
    )


def make_low_bit(module: nn.Module, paths: Sequence[str], spec: LowBit) -> tuple[str, ...]:
    """Make the convolutions at or below ``paths`` low-bit, in place, weights kept; returns their paths.

    The network's first convolution and all of 1 x 1 keep full precision, on fixed-point grids that make their sums
    exact; norms become `PlainNorm`, residual blocks keep a residual path in full precision; GELU and the like become
    ReLU. Linear layers stay as they are.

    Parameters
    ----------
    paths : modules, as in ``module.named_modules()``

    Raises
    ------
    ConfigError : an unknown path, a layer that cannot be quantised, or nothing to quantise

    Examples
    --------
    >>> from offramp.training.zoo.resnet import CifarResNet
    >>> make_low_bit(CifarResNet(8), ["stem", "stack1"], LowBit(1, 1))
    ('stack1.0.conv1', 'stack1.0.conv2')
    """
    known = dict(module.named_modules())
    for path in paths:
        if path not in known:
            near = get_close_matches(path, known, n=1, cutoff=0.0)
            raise ConfigError(f"lowbit: the model has no module {path!r}; the nearest is {near[0]!r}")
    chosen = [name for name in known if any(name == path or name.startswith(f"{path}.") for path in paths)]
    _refuse_the_unknown([(name, known[name]) for name in chosen], spec)
    first = next((name for name, each in known.items() if isinstance(each, nn.Conv2d)), "")
    for name, block in known.items():
        if isinstance(block, ResidualBlock) and {f"{name}.conv1", f"{name}.conv2"} <= set(chosen):
            kind = PublishedBlock if spec.recipe == "published" else LowBitBlock
            _put(module, name, kind(block, spec))
            chosen = [each for each in chosen if each != name and not each.startswith(f"{name}.")]
    for name in chosen:
        if (replacement := _replacement(known[name], name == first, spec)) is not None:
            _put(module, name, replacement)
    made = tuple(name for name, each in module.named_modules() if isinstance(each, LowBitConv2d))
    if not made:
        raise ConfigError(
            f"lowbit: {', '.join(paths)} has no convolution to make low-bit (the first and those of 1 x 1 stay as they "
            "are); name other modules"
        )
    return made


def add_hand_over(module: nn.Module, path: str, bits: int, channels: int) -> None:
    """Quantise what ``path`` returns to ``bits`` bits a value, in place; see `HandOver`.

    Paths below ``path`` stay as they are where it is an ``nn.Sequential``.
    """
    changed, hand_over = module.get_submodule(path), HandOver(bits, channels)
    if isinstance(changed, nn.Sequential):
        changed.append(hand_over)
    else:
        _put(module, path, WithHandOver(changed, hand_over))


def freeze(network: nn.Module) -> None:
    """Replace latent weights and norms by the constants a trained network computes with; for export.

    The network computes the same bits before and after in evaluation mode.
    """
    network.eval()
    for module in network.modules():
        if isinstance(module, LowBitConv2d | FixedPointConv2d | PlainNorm | HandOver):
            module.freeze()


def _refuse_the_unknown(modules: Sequence[tuple[str, nn.Module]], spec: LowBit) -> None:
    for name, each in modules:
        inside = next(each.children(), None) is not None
        if not inside and not isinstance(each, _ALLOWED) and next(each.parameters(), None) is not None:
            raise ConfigError(
                f"lowbit: {name!r} is a {type(each).__name__}, which cannot be quantised; name modules with nothing "
                "but 2-d convolutions, norms and activations"
            )
        if isinstance(each, nn.Conv2d) and each.groups == each.in_channels > 1 and spec.weight_bits == 1:
            raise ConfigError(
                f"lowbit: {name!r} is a depthwise convolution, whose filters of one channel say nothing in 1 bit; "
                "use weight_bits of 2 or more, or name other modules"
            )
        if isinstance(each, nn.Conv2d) and each.padding_mode != "zeros":
            raise ConfigError(f"lowbit: {name!r} pads with {each.padding_mode!r}; only zeros can be quantised")


def _replacement(module: nn.Module, first: bool, spec: LowBit) -> nn.Module | None:
    if isinstance(module, _CURVED):
        return nn.ReLU()
    if isinstance(module, nn.BatchNorm2d):
        return PlainNorm.of(module)
    if not isinstance(module, nn.Conv2d):
        return None
    if first:
        return FixedPointConv2d(module, *FIRST_GRID)
    return FixedPointConv2d(module, *SHORTCUT_GRID) if module.kernel_size == (1, 1) else LowBitConv2d(module, spec)


def _put(module: nn.Module, path: str, replacement: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(module.get_submodule(parent), name, replacement)
