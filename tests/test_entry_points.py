"""Classes that installed packages offer under a name."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from offramp.codecs.base import Codec
from offramp.codecs.raw import Raw
from offramp.entry_points import entries_of, kind_named
from offramp.errors import ConfigError

VALUES = {"raw": "offramp.codecs.raw:Raw", "rew": "offramp.codecs.raw:Raw", "base": "offramp.codecs.base:MAX_BYTES"}
ENTRIES = {name: EntryPoint(name, value, "offramp.codecs") for name, value in VALUES.items()}


def test_a_class_is_found_by_its_name() -> None:
    assert kind_named("raw", Codec, ENTRIES) is Raw


def test_names_come_in_order() -> None:
    assert list(entries_of("offramp.codecs")) == sorted(entries_of("offramp.codecs"))
    assert not entries_of("offramp.nothing")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("raww", r"unknown codec 'raww'; did you mean 'raw'\? installed are raw, rew, base"),
        ("zip", r"unknown codec 'zip'; installed are raw, rew, base"),
        ("rew", r"codec 'rew': the entry point offramp.codecs.raw:Raw is no Codec of that name; fix its package"),
        ("base", r"codec 'base': the entry point offramp.codecs.base:MAX_BYTES is no Codec of that name"),
    ],
)
def test_what_is_not_there_is_said(name: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        kind_named(name, Codec, ENTRIES)
