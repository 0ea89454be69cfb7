"""The sample company's stand-ins: the SFTP server its stores drop files on, its email tool, and the
file that its tills read.

They run only while a run needs them, on loopback, and the run is pointed to them by the very
environment variables with which a user points to their own; a variable that is set already wins.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from orchestration.home import Home

TRUTH = Path("seeds") / "company" / "truth" / "contacts.csv"


@contextmanager
def environment(home: Home, *, is_sample: bool) -> Iterator[dict[str, str]]:
    """What connections' variables are taken from: the environment, and where the sample is switched
    on its stand-ins, which run until the block ends."""
    with ExitStack() as stack:
        started = stack.enter_context(services(home, os.environ)) if is_sample else {}
        yield {**started, **os.environ}


@contextmanager
def services(home: Home, given: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Start what `given` does not already name; yields the environment that points to it."""
    from seeds.email_tool import EmailTool
    from seeds.sftp_server import SampleSftpServer

    found: dict[str, str] = {}
    with ExitStack() as stack:
        if "MAINSTEM_STORES_SFTP_HOST" not in given:
            server = stack.enter_context(
                SampleSftpServer(root=home.sample / "sftp", keys_dir=home.sample / "keys")
            )
            server.publish(sorted((home.root / "seeds" / "company" / "stores").iterdir()))
            found |= {
                "MAINSTEM_STORES_SFTP_HOST": server.host,
                "MAINSTEM_STORES_SFTP_PORT": str(server.port),
                "MAINSTEM_STORES_SFTP_KEY": str(server.client_key),
                "MAINSTEM_STORES_SFTP_KNOWN_HOSTS": str(server.known_hosts),
            }
        if "MAINSTEM_EMAIL_TOOL_URL" not in given:
            secret = secrets.token_hex(16)
            tool = stack.enter_context(
                EmailTool(state_dir=home.sample / "email_tool", secret=secret)
            )
            found |= {"MAINSTEM_EMAIL_TOOL_URL": tool.url, "MAINSTEM_EMAIL_TOOL_SECRET": secret}
        if "MAINSTEM_TILLS" not in given:
            home.sample.mkdir(parents=True, exist_ok=True)
            found["MAINSTEM_TILLS"] = str(home.sample / "tills.sqlite")
        yield found


def truth(home: Home) -> Path | None:
    """The labels that only scoring may read, where the project has them."""
    path = home.root / TRUTH
    return path if path.is_file() else None
