"""Texts of another domain, made from SST-2: generated, not collected.

Two lexical changes, alone and together, both of every row by a generator seeded with ``(seed, row)``, so that a row
reads the same in every batch and order:

- *products*: the words of films become words of gadgets (movie to phone, story to interface, actor to button, ...);
  what people say of them stays, and with it the label;
- *typos*: every word of four letters or more has, with probability 0.3, one slip: two neighbouring letters swapped,
  one left out, or one doubled. The first letter stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.data.dataset import Dataset
from offramp.errors import DataError

__all__ = ["PRODUCTS", "SHIFTS", "ShiftedText", "perturb"]

SHIFTS = ("products", "typos", "products-typos")
TYPO_SHARE = 0.3
_LONG_ENOUGH = 4

_PAIRS = """
movie:phone movies:phones film:camera films:cameras picture:screen pictures:screens actor:button actors:buttons
actress:speaker acting:wiring cast:hardware director:designer directors:designers directed:assembled
directing:assembling direction:assembly story:interface stories:interfaces plot:menu plots:menus script:manual
scripts:manuals screenplay:firmware scene:feature scenes:features character:setting characters:settings
performance:battery performances:batteries comedy:gadget comedies:gadgets drama:laptop dramas:laptops
melodrama:printer thriller:tablet thrillers:tablets romance:charger cinema:kitchen cinematic:mechanical screen:case
audience:customer audiences:customers viewer:user viewers:users watch:use watching:using watched:used
dialogue:display documentary:headset documentaries:headsets sequel:upgrade sequels:upgrades hollywood:factory
role:port roles:ports humor:volume laughs:clicks laugh:click jokes:icons joke:icon tale:app tales:apps
filmmaker:engineer filmmakers:engineers filmmaking:engineering genre:model genres:models music:keyboard
animation:touchscreen animated:wireless narrative:software theater:shop theaters:shops star:brand stars:brands
premise:warranty camera:lens ending:packaging soundtrack:adapter visual:electric visually:electrically
minutes:charges feature:function features:functions
"""
#: a word of films, and the word of gadgets in its place
PRODUCTS: Mapping[str, str] = MappingProxyType(dict(pair.split(":") for pair in _PAIRS.split()))


def perturb(text: str, shift: str, rng: np.random.Generator) -> str:
    """One text, changed.

    Raises
    ------
    DataError : an unknown shift

    Examples
    --------
    >>> perturb("a charming movie with a good story", "products", np.random.default_rng(0))
    'a charming phone with a good interface'
    >>> perturb("a charming movie with a good story", "products-typos", np.random.default_rng(2))
    'a cahrming phone wth a good interfaec'
    """
    if shift not in SHIFTS:
        raise DataError(f"unknown shift of texts {shift!r}; known are {', '.join(SHIFTS)}")
    words = text.split(" ")
    if "products" in shift:
        words = [PRODUCTS.get(word, word) for word in words]
    if "typos" in shift:
        words = [
            _slip(word, rng) if len(word) >= _LONG_ENOUGH and rng.random() < TYPO_SHARE else word for word in words
        ]
    return " ".join(words)


def _slip(word: str, rng: np.random.Generator) -> str:
    at = int(rng.integers(1, len(word) - 1))
    kind = int(rng.integers(3))
    if kind == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == 1:
        return word[:at] + word[at + 1 :]
    return word[:at] + word[at] + word[at:]


@dataclass(frozen=True)
class ShiftedText(Dataset):
    """A text set whose texts are changed as they are read; rows, labels and split are those of the plain one."""

    shift: str = ""
    seed: int = 0
    plain_sha256: str = ""

    @classmethod
    def of(cls, data: Dataset, shift: str, seed: int = 0) -> ShiftedText:
        """A set, shifted."""
        return cls(
            f"{data.name}+{shift}",
            data.inputs,
            data.labels,
            data.label_names,
            data.fixed_test,
            data.description,
            shift,
            seed,
            data.sha256,
        )

    def rows(self, index: NDArray[np.intp]) -> tuple[NDArray[Any], ...]:
        """The chosen rows, changed."""
        changed = []
        for column in self.inputs:
            texts = [
                perturb(str(column[row]), self.shift, np.random.default_rng((self.seed, int(row)))) for row in index
            ]
            changed.append(np.array(texts, dtype=object))
        return tuple(changed)

    @property
    def sha256(self) -> str:
        """Of the plain set."""
        return self.plain_sha256
