"""``CONFIG.toml``: what is read, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from offramp.errors import ConfigError
from offramp.training.config import AutoExits, TeacherConfig, load_config, with_exits
from offramp.training.factory import make_model
from offramp.training.recipes import RECIPES, make_recipe

LINEAR = "torch.nn:Linear"
CONFIG = """
name = "small"
[data]
name = "digits"
tune = 0.2
[model]
factory = "offramp.training.zoo.digits:DigitsNet"
arguments = { widths = [4, 4], blocks = [1, 1], strides = [2, 1] }
[input]
scale = 16.0
[[exits]]
after = "stages.0"
[training]
epochs = 1
batch_size = 32
learning_rate = 0.01
augment = { crop = 1 }
checkpoint = "state"
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text)
    return file


def test_paths_start_from_the_configs_folder(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, CONFIG.replace('"digits"', '"rows.npz"')))
    assert config.data.name == str(tmp_path / "rows.npz")
    assert config.training is not None
    assert config.training.checkpoint == tmp_path / "state"


def test_the_examples_are_valid() -> None:
    for file in (Path(__file__).parents[2] / "examples").glob("*/config.toml"):
        assert load_config(file).name


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("epochs = 1", 'epochs = 1\nweights = "deep"', r"training\.weights: input should be 'equal', 'branchynet' or"),
        ("epochs = 1", "epochs = 1\nweights = [0.0]", r"training\.weights\.0: input should be greater than 0"),
        (
            "epochs = 1",
            "epochs = 1\nteacher = {cascad = 'x'}",
            r"'training\.teacher\.cascad'; did you mean 'cascade'",
        ),
        ('[[exits]]\nafter = "stages.0"', "[exits]\nauto = 1", r"exits\.auto: input should be greater than or equal"),
        ('[[exits]]\nafter = "stages.0"', "[exits]\nato = 3", r"unknown key 'exits\.ato'; did you mean 'auto'"),
        ("epochs = 1", "epoch = 1", r"'training\.epoch'; did you mean 'epochs'"),
        ("crop = 1", "corp = 1", r"'training\.augment\.corp'; did you mean 'crop'"),
        ('after = "stages.0"', 'aftr = "stages.0"', r"exits\.0\.after|'exits\.0\.aftr'; did you mean 'after'"),
        ("[input]", "[inputs]", "'inputs'; did you mean 'input'"),
        ("[input]", "[zzz]", "unknown key 'zzz'; known are data, exits"),
        ("epochs = 1", "epochs = 0", r"training\.epochs: input should be greater than or equal to 1"),
        ("learning_rate = 0.01", "", r"training\.learning_rate: field required"),
        ("learning_rate = 0.01", "learning_rate = -1", r"training\.learning_rate: input should be greater"),
        ("tune = 0.2", "tune = 1.5", r"data\.tune"),
        ('name = "small"', 'name = "a/b"', "name: "),
        ("DigitsNet", "", r"model\.factory"),
        ("epochs = 1", "epochs = ", "not valid TOML"),
        ("epochs = 1", 'recipe = "jont"\nepochs = 1', r"training\.recipe: input should be 'joint'"),
    ],
)
def test_bad_configs_are_refused_in_one_sentence(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_config(write(tmp_path, CONFIG.replace(old, new)))
    assert "\n" not in str(caught.value)


def test_a_missing_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the config"):
        load_config(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("factory", "arguments", "sentence"),
    [
        ("no_such_module_here:make", {}, "cannot import 'no_such_module_here'"),
        ("offramp.training.zoo.digits:DigitNet", {}, "did you mean 'DigitsNet'"),
        ("offramp.training.zoo.digits:DigitsNet", {"width": 3}, "does not take the arguments"),
        ("builtins:dict", {}, "returned a dict"),
    ],
)
def test_bad_factories_are_refused(factory: str, arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        make_model(factory, arguments)


def test_a_module_beside_the_user_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_own_net.py").write_text("from torch import nn\n\n\ndef make(n):\n    return nn.Linear(n, 2)\n")
    monkeypatch.chdir(tmp_path)
    assert type(make_model("my_own_net:make", {"n": 4})).__name__ == "Linear"


def test_paths_of_a_teacher_start_from_the_configs_folder(tmp_path: Path) -> None:
    training = load_config(write(tmp_path, CONFIG + 'teacher = { cascade = "large.cascade" }\n')).training
    assert training is not None
    assert training.teacher is not None
    assert training.teacher.cascade == tmp_path / "large.cascade"


def test_a_config_without_training_has_no_exits(tmp_path: Path) -> None:
    whole, _, _ = CONFIG.partition("[training]")
    with pytest.raises(ConfigError, match=r"exits without \[training\] would guess"):
        load_config(write(tmp_path, whole))
    alone = load_config(write(tmp_path, whole.replace('[[exits]]\nafter = "stages.0"', "")))
    assert alone.training is None
    with pytest.raises(ConfigError, match=r"has no \[training\]"):
        with_exits(alone, "auto:3")


def test_exits_are_replaced_by_the_command_line(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, CONFIG))
    assert with_exits(config, "auto:4").exits == AutoExits(auto=4)
    written = load_config(
        write(tmp_path, CONFIG.replace('[[exits]]\nafter = "stages.0"', '[exits]\nauto = 3\nhead = "grid-linear"'))
    )
    assert written.exits == AutoExits(auto=3, head="grid-linear")
    assert with_exits(written, "auto:2").exits == AutoExits(auto=2, head="grid-linear")


@pytest.mark.parametrize("text", ["auto", "auto:1", "auto:x", "four", "4"])
def test_other_words_for_exits_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"write auto:N"):
        with_exits(load_config(write(tmp_path, CONFIG)), text)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"recipe": "distillation"}, r"needs \[training\.teacher\]"),
        ({"teacher": TeacherConfig(factory=LINEAR)}, "recipe 'joint' has no teacher"),
        ({"recipe": "distillation", "teacher": TeacherConfig()}, "either 'cascade' or 'factory'"),
        ({"temperature": 2.0}, "recipe 'joint' has no such setting"),
        ({"recipe": "frozen", "share": 0.5}, "recipe 'frozen' has no such setting"),
    ],
)
def test_settings_of_other_recipes_are_refused(tmp_path: Path, changes: dict[str, object], sentence: str) -> None:
    config = load_config(write(tmp_path, CONFIG))
    assert config.training is not None
    with pytest.raises(ConfigError, match=sentence):
        make_recipe(config, config.training.model_copy(update=changes), torch.zeros(2, 4))


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_made_from_a_config(tmp_path: Path, name: str) -> None:
    config = load_config(write(tmp_path, CONFIG.replace("[input]\nscale = 16.0\n", "")))
    assert config.training is not None
    changes: dict[str, object] = {"recipe": name, "weights": "depth", "patience": 3}
    if name == "distillation":
        arguments = {"in_features": 4, "out_features": 3}
        changes |= {"teacher": TeacherConfig(factory=LINEAR, arguments=arguments), "temperature": 2.0}
    recipe = make_recipe(config, config.training.model_copy(update=changes), torch.zeros(2, 4))
    assert (recipe.name, recipe.weights, recipe.patience) == (name, "depth", 3)
    assert getattr(recipe, "temperature", 2.0) in {2.0, 3.0}
