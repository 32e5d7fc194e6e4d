"""What the source must never do with what it reads."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import offramp

FORBIDDEN_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}


def test_nothing_is_ever_unpickled_or_evaluated() -> None:
    """Over the source: no module that runs what it reads, no ``eval``, no shell."""
    found: list[str] = []
    for file in sorted(Path(offramp.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom | ast.Call):
                found += [f"{file.name}:{node.lineno}: {what}" for what in _runs_what_it_reads(node)]
    assert found == []


def _runs_what_it_reads(node: ast.Import | ast.ImportFrom | ast.Call) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        yield from (f"imports {name}" for name in names if name.split(".")[0] in FORBIDDEN_MODULES)
        return
    options = {word.arg: ast.unparse(word.value) for word in node.keywords}
    if ast.unparse(node.func) in ("eval", "exec", "compile", "__import__", "os.system", "os.popen"):
        yield f"calls {ast.unparse(node.func)}"
    yield from (f"passes {name}" for name in ("allow_pickle", "shell") if options.get(name, "False") != "False")
    if ast.unparse(node.func) == "torch.load" and options.get("weights_only") != "True":
        yield "torch.load without weights_only"
