"""A PostgreSQL server of the tests' own: its own data folder and port, never root, gone afterwards."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

USER, PASSWORD = "threadx", "top-secret's \\ word"

# PostgreSQL refuses to run as root; these may do nothing at all.
_UNPRIVILEGED: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []}


def find_programs() -> Path | None:
    """The folder of PostgreSQL's programs, the newest first; None if there are none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class Server:
    """A server with an empty cluster; ``make_database`` gives the address of a database of its own."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._count = 0
        self.folder = Path(tempfile.mkdtemp(prefix="threadx-postgres-"))
        self.folder.chmod(0o700)
        self._as: dict[str, Any] = _UNPRIVILEGED if os.geteuid() == 0 else {}
        if self._as:
            shutil.chown(self.folder, "nobody", "nogroup")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        pwfile = self.folder / "password"
        pwfile.write_text(PASSWORD)
        pwfile.chmod(0o644)
        self._run("initdb", "-D", self._data, "-U", USER, "--auth=scram-sha-256", f"--pwfile={pwfile}")
        self.start()

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    @property
    def process(self) -> Path:
        """The file that is there while the server runs; its first line is the number of the process."""
        return self.folder / "data" / "postmaster.pid"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c fsync=off"
        self._run("pg_ctl", "-D", self._data, "-o", options, "-l", str(self.folder / "log"), "-w", "start")

    def stop(self) -> None:
        """As a power cut would: nobody is asked to finish."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def close(self) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def make_database(self) -> str:
        """The address of a new database, password and all."""
        self._count += 1
        name = f"lake_{self._count}"
        self.ask(f"create database {name}")
        return self.address(dbname=name)

    def address(self, **parts: str) -> str:
        quoted = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
        usual = {"host": "127.0.0.1", "port": str(self.port), "user": USER, "password": f"'{quoted}'"}
        return "ducklake:postgres:" + " ".join(f"{key}={value}" for key, value in (usual | parts).items())

    def ask(self, statement: str, database: str = "postgres") -> str:
        """Returns the answer of PostgreSQL, one line per row."""
        done = subprocess.run(
            [
                self._programs / "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", database,
                "-v", "ON_ERROR_STOP=1", "-tAc", statement,
            ],
            env={"PGPASSWORD": PASSWORD, "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def _run(self, program: str, *arguments: str) -> None:
        # Not into pipes: the server would hold them open.
        with (self.folder / f"{program}.out").open("w+") as out:
            done = subprocess.run(
                [self._programs / program, *arguments], stdout=out, stderr=out, cwd="/", check=False, **self._as
            )
            out.seek(0)
            assert done.returncode == 0, out.read()
