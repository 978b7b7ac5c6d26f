"""`make graph-diff BASE=origin/main`: what a change does to the asset graph, as Markdown for a pull request.

Compares the golden description of the graph, which a test holds to the graph itself, with that of another commit.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GOLDEN = "crypto_intel_tests/golden/asset_graph.json"
ROOT = Path(__file__).resolve().parent.parent.parent
Graph = dict[str, dict[str, Any]]


def graph_of(commit: str) -> Graph:
    """The graph as it was described at a commit; empty where it was not."""
    shown = subprocess.run(["git", "show", f"{commit}:{GOLDEN}"], cwd=ROOT, capture_output=True, check=False)  # noqa: S607
    return dict(json.loads(shown.stdout)) if shown.returncode == 0 else {}


def differences(before: Graph, after: Graph) -> Iterator[str]:
    """A Markdown line for each thing that came, went or changed, kind by kind."""
    for kind in sorted(before.keys() | after.keys()):
        old, new = before.get(kind, {}), after.get(kind, {})
        for name in sorted(old.keys() | new.keys()):
            if name not in old:
                yield f"- **new** {kind[:-1]} `{name}`{_deps(new[name])}"
            elif name not in new:
                yield f"- **gone** {kind[:-1]} `{name}`"
            elif old[name] != new[name]:
                yield f"- **changed** {kind[:-1]} `{name}`: {_changes(old[name], new[name])}"


def _deps(described: Any) -> str:
    deps = described.get("deps") if isinstance(described, dict) else None
    return f", from {', '.join(f'`{dep}`' for dep in deps)}" if deps else ""


def _changes(old: Any, new: Any) -> str:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return f"`{old}` is now `{new}`"
    changed = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    return "; ".join(f"{name} {_change(old.get(name), new.get(name))}" for name in changed)


def _change(old: Any, new: Any) -> str:
    if isinstance(old, list) and isinstance(new, list):
        came = [f"+`{one}`" for one in new if one not in old]
        went = [f"-`{one}`" for one in old if one not in new]
        return " ".join([*came, *went]) or "in another order"
    return f"`{old}` → `{new}`"


def main() -> int:
    """Print the difference to the commit that is named."""
    lines = list(differences(graph_of(sys.argv[1]), dict(json.loads((ROOT / GOLDEN).read_text(encoding="utf-8")))))
    sys.stdout.write("\n".join(["### Asset graph", "", *(lines or ["No change."]), ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
