"""``offramp import`` and ``offramp quantise`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from offramp.cascade.store import open_cascade
from offramp.cli.main import app
from offramp.errors import ConfigError, DataError, OfframpError
from offramp.records.records import load_records
from tests.support.onnx_models import chain, digits_net, with_exits


def run(*arguments: str | Path) -> str:
    """stdout of a command that works, without line breaks."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def test_the_cuts_are_shown(tmp_path: Path) -> None:
    model = chain(tmp_path / "m.onnx", layers=2)
    assert "h1" in run("import", model, "--list-cuts")
    cuts = json.loads(run("import", model, "--list-cuts", "--json"))
    assert [(cut["name"], cut["payload_bytes"], cut["flops_before"]) for cut in cuts] == [
        ("d0", 32, 128),
        ("h0", 32, 128),
        ("d1", 32, 256),
        ("h1", 32, 256),
    ]


def test_a_model_becomes_a_cascade(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd\ne\n")
    target = tmp_path / "m.cascade"
    printed = run(
        *("import", with_exits(tmp_path / "m.onnx"), "--output", target, "--exit", "e0", "--exit", "e1"),
        *("--cuts", "h1", "--labels", tmp_path / "labels.txt", "--name", "mine"),
    )
    assert "4 segments, exits e0, e1, final" in printed
    assert "verified: the chain equals m.onnx" in printed
    manifest = open_cascade(target).manifest
    assert (manifest.name, manifest.labels) == ("mine", tuple("abcde"))


def test_import_record_quantise(tmp_path: Path) -> None:
    model, target = digits_net(tmp_path / "net.onnx"), tmp_path / "net.cascade"
    run(
        *("import", model, "--output", target, "--cuts", "conv1,pool", "--data", "digits"),
        *("--preprocess", "scale=1/16", "--split", "0.2,0.2,0.3", "--json"),
    )
    before = open_cascade(target).manifest
    assert before.data is not None
    told = json.loads(run("quantise", target, "--segments", "0,1", "--rows", "100", "--json"))
    assert told["precision"] == "int8:2"
    assert told["exits"][0]["same_answer"] > 0.98
    assert all(segment["int8_median_s"] > 0 for segment in told["segments"])
    int8, fp32 = (load_records(target / "records" / f"{name}.parquet") for name in ("int8-2", "fp32"))
    assert (int8.provenance.variant, fp32.provenance.variant) == ("int8:2", "fp32")
    assert int8.provenance.cascade_fingerprint == before.fingerprint
    table = run("quantise", target, "--segments", "0", "--rows", "100")
    assert "same answer" in table
    assert "faster by" in table


def test_a_pair(tmp_path: Path) -> None:
    small, large = digits_net(tmp_path / "s.onnx", 4), digits_net(tmp_path / "l.onnx", 8)
    printed = run("import", small, large, "--output", tmp_path / "p.cascade", "--preprocess", "scale=1/16")
    assert "the input" in printed
    assert "2 segments, exits small, large" in printed


@pytest.mark.parametrize(
    ("options", "message", "kind"),
    [
        (["--preprocess", "scale=x"], "'x' is no number", ConfigError),
        (["--preprocess", "size=3"], "unknown; set scale, mean", ConfigError),
        (["--data", "digits", "--split", "0.5"], "three shares such as", ConfigError),
        (["--data", "digits", "--split", "0.5,0.5,0.5"], "leave rows for training", DataError),
        (["m.onnx", "--segments", "2"], "a pair is two whole models", ConfigError),
    ],
)
def test_wrong_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str, kind: type[OfframpError]
) -> None:
    monkeypatch.chdir(tmp_path)
    chain(tmp_path / "m.onnx")
    with pytest.raises(kind, match=message):
        run("import", "m.onnx", *options)
    assert not (tmp_path / "m.cascade").exists()


def test_quantising_needs_known_tune_rows(tmp_path: Path, tiny_cascade: Path) -> None:
    with pytest.raises(ConfigError, match="its tune rows are unknown"):
        run("quantise", tiny_cascade, "--segments", "0", "--data", "digits")
    with pytest.raises(ConfigError, match="numbers joined by commas"):
        run("quantise", tiny_cascade, "--segments", "first", "--data", "digits")
