"""Names of variants."""

from __future__ import annotations

import pytest

from offramp.errors import ConfigError
from offramp.records.variant import VariantName


@pytest.mark.parametrize("text", ["fp32", "int8:2", "fp32+uint8@1", "int8:1+affine4@1+uint8@2"])
def test_a_name_survives(text: str) -> None:
    assert str(VariantName.parse(text)) == text


@pytest.mark.parametrize("text", ["fp16", "fp32+uint8", "fp32+@1", "fp32+uint8@x", "fp32+uint8@1+affine4@1"])
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="write "):
        VariantName.parse(text)
