"""Teachers: a cascade, or a torch module with a file of weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from offramp.cascade.store import open_cascade
from offramp.errors import CascadeError, ConfigError
from offramp.training.teacher import CascadeTeacher, TorchTeacher, load_torch_teacher
from tests.support.tiny import make_tiny_cascade, tiny_rows

LINEAR = "torch.nn:Linear"
ARGUMENTS = {"in_features": 4, "out_features": 3}
EXAMPLE = torch.zeros(2, 4)


def test_a_cascade_teaches_with_its_last_exit(tmp_path: Path) -> None:
    cascade = make_tiny_cascade(tmp_path)
    teacher = CascadeTeacher(cascade.path)
    first, second = cascade.load_segments()
    rows = tiny_rows(5)
    _, expected = second.run_with_logits(first.run_with_logits((rows,))[0])
    np.testing.assert_array_equal(teacher.logits(torch.from_numpy(rows)).numpy(), expected)
    assert (teacher.name, teacher.classes) == ("tiny", 3)
    assert teacher.identity == open_cascade(cascade.path).manifest.fingerprint


def test_a_missing_cascade_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CascadeError):
        CascadeTeacher(tmp_path / "none.cascade")


def test_weights_come_from_a_file(tmp_path: Path) -> None:
    net = nn.Linear(4, 3)
    torch.save(net.state_dict(), tmp_path / "teacher.pt")
    teacher = load_torch_teacher(LINEAR, ARGUMENTS, tmp_path / "teacher.pt", nn.Identity(), EXAMPLE)
    rows = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(teacher.logits(rows), net(rows))
    assert not teacher.logits(rows).requires_grad
    other = load_torch_teacher(LINEAR, ARGUMENTS, None, nn.Identity(), EXAMPLE)
    assert other.identity != teacher.identity


@pytest.mark.parametrize(
    ("content", "sentence"), [(None, "no such file"), (b"nonsense", "no weights for the teacher 'torch.nn:Linear'")]
)
def test_files_without_weights_are_refused(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    file = tmp_path / "teacher.pt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_torch_teacher(LINEAR, ARGUMENTS, file, nn.Identity(), EXAMPLE)
    assert "\n" not in str(caught.value)


def test_weights_of_another_net_are_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(4, 2).state_dict(), tmp_path / "teacher.pt")
    with pytest.raises(ConfigError, match="no weights for the teacher"):
        load_torch_teacher(LINEAR, ARGUMENTS, tmp_path / "teacher.pt", nn.Identity(), EXAMPLE)


class Cube(nn.Module):
    """Returns no logits."""

    def forward(self, rows: Tensor) -> Tensor:
        """(n, 4) to (n, 2, 2)."""
        return rows.reshape(-1, 2, 2)


def test_modules_that_are_no_classifiers_are_refused() -> None:
    with pytest.raises(ConfigError, match="does not run on rows of shape"):
        TorchTeacher(nn.Linear(7, 3), nn.Identity(), EXAMPLE, "seven")
    with pytest.raises(ConfigError, match="must return logits"):
        TorchTeacher(Cube(), nn.Identity(), EXAMPLE, "cube")
