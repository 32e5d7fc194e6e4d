"""Training the cascades of a study again: the order, the commands, and what an interruption leaves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from offramp.errors import ConfigError
from studies.__main__ import main
from studies.cascades.study import TRAININGS as CASCADES
from studies.hybrid.study import TRAININGS as HYBRIDS
from studies.retraining import EXAMPLES, commands_of, retrain

CONFIG = "[model]\narguments = { classes = 10 }\n"


def make_examples(folder: Path) -> Path:
    for name in ("first", "second"):
        (folder / name).mkdir(parents=True)
        (folder / name / "config.toml").write_text(CONFIG)
    return folder


class Offramp:
    """Writes what the real commands would, and fails where told to."""

    def __init__(self, fails: str = "") -> None:
        self.asked: list[Sequence[str]] = []
        self.fails = fails

    def __call__(self, command: Sequence[str]) -> int:
        self.asked.append(command)
        if self.fails and any(self.fails in word for word in command):
            return 3
        if command[0] == "build":
            Path(command[3]).mkdir(parents=True)
            (Path(command[3]) / "cascade.json").write_text("{}")
        else:
            Path(command[3]).write_bytes(b"records")
        return 0


def test_each_is_built_and_recorded_in_order(tmp_path: Path) -> None:
    examples, offramp = make_examples(tmp_path / "examples"), Offramp()
    retrain(["second", "first"], examples, tmp_path / "out", offramp)
    assert [command[0] for command in offramp.asked] == ["build", "record"] * 2
    assert "second" in offramp.asked[0][1]
    for name in ("first", "second"):
        assert (examples / name / "records" / "fp32.parquet").read_bytes() == b"records"
        assert (examples / name / "cascade.json").read_text() == "{}"


def test_a_failure_leaves_the_records_as_they_were(tmp_path: Path) -> None:
    examples = make_examples(tmp_path / "examples")
    with pytest.raises(ConfigError, match=r"offramp build of 'second' ended with 3"):
        retrain(["first", "second"], examples, tmp_path / "out", Offramp(fails="second"))
    assert (examples / "first" / "records" / "fp32.parquet").is_file()
    assert not (examples / "second" / "records").exists()


def test_records_of_many_classes_are_compact(tmp_path: Path) -> None:
    examples = make_examples(tmp_path)
    assert "--compact" not in commands_of("first", examples)[1]
    (examples / "first" / "config.toml").write_text(CONFIG.replace("10", "100"))
    assert commands_of("first", examples)[1][-1] == "--compact"


@pytest.mark.parametrize("name", sorted({*CASCADES, *HYBRIDS}))
def test_what_the_studies_train_has_a_config(name: str) -> None:
    build, record = commands_of(name)
    assert build[1] == str(EXAMPLES / name / "config.toml")
    assert record[1] == build[3]


def test_twins_come_before_the_hybrids_that_begin_from_them() -> None:
    for name in HYBRIDS:
        begins_from = (EXAMPLES / name / "config.toml").read_text().partition("warm_start =")[2].partition("\n")[0]
        twin = begins_from.split("/")[3] if begins_from else name
        assert HYBRIDS.index(twin) <= HYBRIDS.index(name)


def test_a_study_that_trains_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "study.py").write_text("def study():\n    return []\n")
    assert main(["tiny", "--retrain"], tmp_path) == 2
    assert "study 'tiny' trains nothing" in capsys.readouterr().err
