"""Collaborative DNN inference across device, edge and cloud.

A network should answer from the nearest machine that is sure. ``import offramp as ot`` is light:
names are loaded on first use, and neither torch nor a plotting library is imported by it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "AccuracyLoss": "offramp.confidence.risks",
    "Adaptation": "offramp.runtime.adapting",
    "Alarm": "offramp.confidence.alarm",
    "Answer": "offramp.runtime.answer",
    "Audit": "offramp.runtime.audit",
    "Cascade": "offramp.cascade.store",
    "Certificate": "offramp.confidence.certificate",
    "Dataset": "offramp.data.dataset",
    "Device": "offramp.runtime.device",
    "EarlyAccuracy": "offramp.confidence.risks",
    "Link": "offramp.links.network",
    "MostAccurate": "offramp.planning.most_accurate",
    "Network": "offramp.links.network",
    "Objective": "offramp.planning.objective",
    "OfframpError": "offramp.errors",
    "Plan": "offramp.planning.plan",
    "Profile": "offramp.profiles.profile",
    "Records": "offramp.records.records",
    "Replanner": "offramp.planning.replanner",
    "Tier": "offramp.links.network",
    "certify": "offramp.records.certify",
    "collect": "offramp.records.collect",
    "export_tails": "offramp.cascade.exporting",
    "import_model": "offramp.cascade.importing",
    "import_pair": "offramp.cascade.pairing",
    "load_dataset": "offramp.data.registry",
    "load_network": "offramp.links.network",
    "measure": "offramp.profiles.measure",
    "open_cascade": "offramp.cascade.store",
    "quantise": "offramp.cascade.quantise",
    "search": "offramp.planning.search",
}

__all__ = [
    "AccuracyLoss",
    "Adaptation",
    "Alarm",
    "Answer",
    "Audit",
    "Cascade",
    "Certificate",
    "Dataset",
    "Device",
    "EarlyAccuracy",
    "Link",
    "MostAccurate",
    "Network",
    "Objective",
    "OfframpError",
    "Plan",
    "Profile",
    "Records",
    "Replanner",
    "Tier",
    "__version__",
    "certify",
    "collect",
    "export_tails",
    "import_model",
    "import_pair",
    "load_dataset",
    "load_network",
    "measure",
    "open_cascade",
    "quantise",
    "search",
]

if TYPE_CHECKING:
    from offramp.cascade.exporting import export_tails
    from offramp.cascade.importing import import_model
    from offramp.cascade.pairing import import_pair
    from offramp.cascade.quantise import quantise
    from offramp.cascade.store import Cascade, open_cascade
    from offramp.confidence.alarm import Alarm
    from offramp.confidence.certificate import Certificate
    from offramp.confidence.risks import AccuracyLoss, EarlyAccuracy
    from offramp.data.dataset import Dataset
    from offramp.data.registry import load_dataset
    from offramp.errors import OfframpError
    from offramp.links.network import Link, Network, Tier, load_network
    from offramp.planning.most_accurate import MostAccurate
    from offramp.planning.objective import Objective
    from offramp.planning.plan import Plan
    from offramp.planning.replanner import Replanner
    from offramp.planning.search import search
    from offramp.profiles.measure import measure
    from offramp.profiles.profile import Profile
    from offramp.records.certify import certify
    from offramp.records.collect import collect
    from offramp.records.records import Records
    from offramp.runtime.adapting import Adaptation
    from offramp.runtime.answer import Answer
    from offramp.runtime.audit import Audit
    from offramp.runtime.device import Device


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'offramp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
