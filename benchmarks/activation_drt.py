"""drt-core as the other side of the benchmark of activation: pinned, in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb

LIMIT_SECONDS = 600
DRT = ("drt-core==1.2.1", f"duckdb=={duckdb.__version__}")
DRT_SYNC = """
name: carts
model: ref('people')
destination:
  type: rest_api
  url: "{url}"
  method: POST
  headers: {{Content-Type: application/json}}
  body_mode: batch
  batch_template: '{{"rows": {{{{ rows | tojson_safe }}}}}}'
sync:
  mode: full
  batch_size: {batch_rows}
  rate_limit: {{requests_per_second: 0}}
  on_error: skip
"""


def prepare(folder: Path, url: str, batch_rows: int) -> list[str]:
    """drt-core in an environment of its own, and its project; the command that runs it."""
    uv = str(Path(sys.executable).parent / "uv")
    python = str(folder / "peer" / "bin" / "python")
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(folder / "peer")],
        [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, *DRT],
    ):
        subprocess.run(command, check=True, timeout=LIMIT_SECONDS)
    (folder / ".drt").mkdir()
    (folder / "syncs").mkdir()
    (folder / ".drt" / "profiles.yml").write_text(
        f"bench:\n  type: duckdb\n  database: {folder}/drt.duckdb\n", encoding="utf-8"
    )
    (folder / "drt_project.yml").write_text(
        "name: bench\nversion: '0.1'\nprofile: bench\n", encoding="utf-8"
    )
    (folder / "syncs" / "carts.yml").write_text(
        DRT_SYNC.format(url=url, batch_rows=batch_rows), encoding="utf-8"
    )
    return [str(folder / "peer" / "bin" / "drt"), "run", "--output", "json"]
