"""The supervisor's configuration as text: a pure rendering of the parts."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence

from crypto_intel.stack.errors import StackError
from crypto_intel.stack.parts import Part
from crypto_intel.stack.settings import Supervision
from crypto_intel.stack.state import Folder

HEALTH = "health"
"""Name of the event listener that asks the parts whether they are well."""

_HEAD = """\
; Generated at every start; edits are lost. Secrets are in the environment of supervisord, not here.
[supervisord]
nodaemon=true
logfile={log}
logfile_maxbytes=1MB
logfile_backups=1
pidfile={pidfile}
childlogdir={logs}
umask=027
{user}
[unix_http_server]
file={socket}
chmod=0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{socket}

[eventlistener:{health}]
command={listener}
events=TICK_5,PROCESS_STATE
buffer_size=1000
autorestart=true
startretries=10
stopwaitsecs=5
stdout_logfile=NONE
stderr_logfile={health_log}
stderr_logfile_maxbytes=1MB
stderr_logfile_backups=1
"""
_PROGRAM = """
[program:{name}]
command={command}
priority={priority}
; `up` starts it when what it needs answers.
autostart=false
autorestart=true
startsecs={steady_s}
startretries={retries}
stopsignal={stop}
stopasgroup={stops_group}
killasgroup=true
stopwaitsecs={stop_s}
{environment}redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes={log_bytes}
stdout_logfile_backups=3
"""


def render(parts: Sequence[Part], folder: Folder, supervision: Supervision) -> str:
    """The whole configuration.

    Raises:
        StackError: a path holds what the supervisor's file can not carry.
    """
    head = _HEAD.format(
        log=_escape(str(folder.logs / "supervisord.log")),
        pidfile=_escape(str(folder.run / "supervisord.pid")),
        logs=_escape(str(folder.logs)),
        socket=_escape(str(folder.socket)),
        user="user=root\n" if os.geteuid() == 0 else "",  # silences its warning: it stays who it is
        health=HEALTH,
        listener=_argv([sys.executable, "-m", "crypto_intel.stack.health", str(folder.run)]),
        health_log=_escape(str(folder.log(HEALTH))),
    )
    return head + "".join(_program(part, folder, supervision) for part in parts)


def _program(part: Part, folder: Folder, supervision: Supervision) -> str:
    return _PROGRAM.format(
        name=part.name,
        command=_argv(part.command.argv),
        priority=part.priority,
        steady_s=part.steady_s,
        retries=supervision.start_retries,
        stop=part.command.stop,
        stops_group=str(part.stops_group).lower(),
        stop_s=part.stop_s,
        environment=_environment(part),
        log=_escape(str(folder.log(part.name))),
        log_bytes=supervision.log_bytes,
    )


def _environment(part: Part) -> str:
    # What differs from part to part; the rest, secrets among it, is in the environment of supervisord.
    return f'environment=CRYPTO_INTEL_METRICS_PORT="{part.metrics_port}"\n' if part.metrics_port else ""


def _argv(words: Sequence[str]) -> str:
    return _escape(shlex.join(words))


def _escape(value: str) -> str:
    # A blank and then ; or # begins a comment wherever it stands, quoted or not, and there is no escape for it.
    if re.search(r"\s[;#]|[\r\n]", value):
        raise StackError(
            f"the supervisor can not carry {value!r}", "use a data folder without ' ;' or ' #' in its path"
        )
    return value.replace("%", "%%")
