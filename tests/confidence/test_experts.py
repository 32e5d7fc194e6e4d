"""Experts and their detector: scikit-learn's regression, the mixture by hand, JSON, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from offramp.confidence.detector import DistortionDetector
from offramp.confidence.experts import DistortionExperts
from offramp.confidence.scores import softmax
from offramp.errors import ConfigError, NotEnoughSamples, SampleError

RNG = np.random.default_rng(0)
KINDS = {"none": (0.0, 0.0), "blur": (-4.0, 1.0), "noise": (4.0, 3.0)}
FEATURES = {kind: RNG.normal(at, 1.5, (300, 2)) for kind, at in KINDS.items()}
LABELS = {kind: RNG.integers(0, 3, 300) for kind in KINDS}
SPREAD = {"none": 2.0, "blur": 3.0, "noise": 6.0}
LOGITS = {k: 4 * np.eye(3)[LABELS[k]] + RNG.normal(0, SPREAD[k], (2, 300, 3)) for k in KINDS}
EXPERTS = DistortionExperts.fit(FEATURES, LOGITS, LABELS)


def test_detector_equals_scikit_learn() -> None:
    x, y = np.concatenate(list(FEATURES.values())), np.repeat(list(KINDS), 300)
    standard = (x - x.mean(0)) / x.std(0)
    oracle = LogisticRegression(C=1 / (1e-3 * len(x)), tol=1e-8, max_iter=1000).fit(standard, y)
    expected = oracle.predict_proba(standard)[:, [list(oracle.classes_).index(kind) for kind in KINDS]]
    np.testing.assert_allclose(DistortionDetector.fit(FEATURES).probabilities(x), expected, atol=2e-3)


def test_rare_kinds_count_as_much() -> None:
    few = FEATURES | {"noise": FEATURES["noise"][:15]}
    detector = DistortionDetector.fit(few)
    found = detector.probabilities(FEATURES["noise"]).argmax(1) == 2
    assert found.mean() > 0.8
    assert detector.kinds == ("none", "blur", "noise")


def test_the_mixture_is_that_of_the_definition() -> None:
    weight = EXPERTS.detector.probabilities(FEATURES["blur"])
    exit_, z = 1, LOGITS["blur"][1]
    probabilities = sum(
        weight[:, [kind]] * softmax(z, temperatures[exit_]) for kind, temperatures in enumerate(EXPERTS.temperatures)
    )
    expected = np.asarray(probabilities).max(1) * EXPERTS.is_known(FEATURES["blur"])
    np.testing.assert_allclose(EXPERTS.confidence(FEATURES["blur"], LOGITS["blur"])[1], expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_calibrated_by_its_own(kind: str) -> None:
    confidence = EXPERTS.confidence(FEATURES[kind], LOGITS[kind])
    right = LOGITS[kind].argmax(-1) == LABELS[kind]
    known = EXPERTS.is_known(FEATURES[kind])
    assert abs(confidence[:, known].mean() - right[:, known].mean()) < 0.06


def test_none_of_these_has_no_confidence() -> None:
    far = np.array([[0.0, 40.0], [0.0, 0.0]])
    sure = np.tile([9.0, 0.0, 0.0], (2, 2, 1))
    assert EXPERTS.is_known(far).tolist() == [False, True]
    assert EXPERTS.confidence(far, sure)[:, 0].tolist() == [0.0, 0.0]
    trusting = DistortionExperts.fit(FEATURES, LOGITS, LABELS, keep=None)
    assert trusting.is_known(far).all()
    assert (trusting.confidence(far, sure)[:, 0] > 0.3).all()


def test_json() -> None:
    again = DistortionExperts.from_json(EXPERTS.to_json())
    assert again == EXPERTS
    before = EXPERTS.confidence(FEATURES["none"], LOGITS["none"])
    np.testing.assert_array_equal(again.confidence(FEATURES["none"], LOGITS["none"]), before)
    for text in ["", "[]", "{}", '{"detector": {}, "temperatures": [], "known": []}']:
        with pytest.raises(ConfigError, match="not "):
            DistortionExperts.from_json(text)


def test_bad_experts() -> None:
    with pytest.raises(ConfigError, match="same kinds"):
        DistortionExperts.fit(FEATURES, LOGITS, {"none": LABELS["none"]})
    with pytest.raises(ConfigError, match="rows of temperatures"):
        DistortionExperts(EXPERTS.detector, EXPERTS.temperatures[:2])
    with pytest.raises(ConfigError, match="positive"):
        DistortionExperts(EXPERTS.detector, ((0.0,), (1.0,), (1.0,)))
    with pytest.raises(ConfigError, match="guards"):
        DistortionExperts(EXPERTS.detector, EXPERTS.temperatures, EXPERTS.known[:1])
    with pytest.raises(SampleError, match="2 exits"):
        EXPERTS.confidence(FEATURES["none"], LOGITS["none"][:1])


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"blur": np.zeros((0, 2))}, NotEnoughSamples, "'blur'"),
        ({"blur": np.zeros((9, 3))}, SampleError, "'blur'"),
        ({"blur": np.full((9, 2), np.nan)}, SampleError, "'blur'"),
    ],
)
def test_bad_features(change: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        DistortionDetector.fit(FEATURES | change)
    with pytest.raises(ConfigError, match="two kinds"):
        DistortionDetector.fit({"none": FEATURES["none"]})
    with pytest.raises(SampleError, match="2 features"):
        EXPERTS.detector.probabilities(np.zeros((1, 3)))
    with pytest.raises(ConfigError, match="D kinds"):
        DistortionDetector(("none",), (0.0,), (1.0,), ((0.0,),), ())
