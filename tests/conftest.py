"""How tests are shared out, and the database servers that several rooms test against.

Whole runs come first and one by one, other files each to one process.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Run = Callable[[str], None]
HERE = Path(__file__).parent
# What takes longest starts first, so that no process waits for the other at the end.
LONGEST = (
    "test_sameness.py",
    "test_own_company.py",
    "test_care.py",
    "test_bad_input.py",
    "test_readme.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order and group the tests for `pytest -n 2 --dist loadgroup --no-loadscope-reorder`."""
    for item in items:
        path = Path(item.path)
        if "e2e" not in path.relative_to(HERE).parts or path.name == "test_road.py":
            item.add_marker(pytest.mark.xdist_group(str(path.relative_to(HERE))))
    rank = {name: at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(Path(item.path).name, len(rank)))


def unprivileged() -> list[str]:
    """Database servers refuse to run as root: run them as nobody then."""
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] * (os.getuid() == 0)


def home_for(server: str) -> Path:
    """A short path that `nobody` may enter (a socket's path has at most 107 characters)."""
    folder = Path("/tmp") / f"mainstem-test-{server}-{os.getpid()}"  # noqa: S108
    folder.mkdir(mode=0o755)
    if os.getuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres() -> Iterator[tuple[str, Run]]:
    """A cluster of the test's own: its URL, and what runs SQL there."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL server: apt-get install postgresql")
    tools, home, port = found[-1].parent, home_for("pg"), free_port()
    data, password = home / "data", home / "password"
    password.write_text("p@ss/word")
    password.chmod(0o644)
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "timeout": 60}
    access = ["-A", "scram-sha-256", "--pwfile", str(password), "-E", "UTF8", "--no-sync"]
    subprocess.run(
        [*unprivileged(), tools / "initdb", "-D", data, "-U", "me", *access],
        cwd="/",
        check=True,
        **quiet,
    )
    flags = f"-p {port} -k {home} -h 127.0.0.1 -c fsync=off"
    control = [*unprivileged(), tools / "pg_ctl", "-D", data]
    subprocess.run(
        [*control, "-o", flags, "-l", home / "log", "-w", "start"], cwd="/", check=True, **quiet
    )
    env = os.environ | {"PGPASSWORD": "p@ss/word"}

    def run(sql: str) -> None:
        login = ["-h", "127.0.0.1", "-p", str(port), "-U", "me", "-d", "postgres"]
        command = [tools / "psql", *login, "-q", "-v", "ON_ERROR_STOP=1", "-c", sql]
        subprocess.run(command, env=env, check=True, **quiet)

    yield f"postgresql://me@127.0.0.1:{port}/postgres", run
    subprocess.run([*control, "-m", "immediate", "-w", "stop"], cwd="/", check=True, **quiet)
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[tuple[str, Run]]:
    """A server of the test's own: its URL, and what runs SQL there."""
    if not shutil.which("mariadbd") or not shutil.which("mariadb-install-db"):
        pytest.skip("no MariaDB server: apt-get install mariadb-server")
    pymysql = pytest.importorskip("pymysql", reason="pip install pymysql")
    home, port = home_for("maria"), free_port()
    where = ["--no-defaults", f"--datadir={home}/data"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    made = subprocess.run(
        [*unprivileged(), "mariadb-install-db", *where, "--auth-root-authentication-method=normal",
         "--skip-test-db"], check=False, timeout=60, capture_output=True, cwd="/", text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    flags = [f"--socket={home}/socket", f"--port={port}", "--bind-address=127.0.0.1"]
    lean = ["--skip-log-bin", "--innodb-flush-log-at-trx-commit=0", f"--pid-file={home}/pid"]
    server = subprocess.Popen([*unprivileged(), "mariadbd", *where, *flags, *lean], **quiet)

    def connect(database: str) -> Any:
        deadline, socket = time.monotonic() + 30, f"{home}/socket"
        while True:
            try:
                return pymysql.connect(
                    unix_socket=socket, user="root", database=database, autocommit=True
                )
            except pymysql.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def run(sql: str, database: str = "shop") -> None:
        with connect(database) as con, con.cursor() as cursor:
            for statement in sql.split(";"):
                if statement.strip():
                    cursor.execute(statement)

    run("create database shop character set utf8mb4", "mysql")
    run("create user 'me'@'127.0.0.1' identified by 'p@ss/word';"
        "grant select on shop.* to 'me'@'127.0.0.1'")  # fmt: skip
    yield f"mariadb://me@127.0.0.1:{port}/shop", run
    server.terminate()
    server.wait(30)
    shutil.rmtree(home)
