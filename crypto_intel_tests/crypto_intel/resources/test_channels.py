"""Channels against local servers that speak their protocols: a webhook, mail, Slack, Telegram; and one that fails."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import pytest
from apprise.plugins.slack import NotifySlack
from apprise.plugins.telegram import NotifyTelegram

from crypto_intel.core.errors import NotConfigured, PermanentError, TransientError
from crypto_intel.resources.channels import Channels

pytestmark = pytest.mark.stack

TITLE, BODY = "[warning] price_move: BTC-USDT on binance", "BTC-USDT rose 1.25 %"


class HttpServer(ThreadingHTTPServer):
    """Answers every POST with `status`, and keeps what came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.got: list[tuple[str, dict[str, Any]]] = []

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: HttpServer

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, json.loads(content)))
        answer = b"ok" if "services" in self.path else b'{"ok": true, "result": {"message_id": 1}}'
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def http() -> Iterator[HttpServer]:
    """A server of our own."""
    with HttpServer() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()


class MailServer(ThreadingTCPServer):
    """Takes a mail by SMTP, and keeps it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Smtp)
        self.mails: list[str] = []


class _Smtp(StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            if word == "DATA":
                self._say("354 go on")
                lines = iter(lambda: self.rfile.readline().decode(), ".\r\n")
                self.server.mails.append("".join(lines))
            self._say("221 bye" if word == "QUIT" else "250 ok")
            if word == "QUIT":
                return

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def mail() -> Iterator[MailServer]:
    """A mail server of our own."""
    with MailServer() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()


def channels(monkeypatch: pytest.MonkeyPatch, url: str) -> Channels:
    """With one channel, `desk`."""
    monkeypatch.setenv("CRYPTO_INTEL_CHANNELS__DESK", url)
    assert Channels().names() == ["desk"]
    return Channels()


def test_a_webhook_gets_json(http: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    channels(monkeypatch, f"json://{http.address}/hook").send("desk", TITLE, BODY, "critical")
    ((path, got),) = http.got
    assert path == "/hook"
    assert (got["title"], got["message"], got["type"]) == (TITLE, BODY, "failure")


def test_slack_gets_it_by_its_incoming_webhook(http: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://{http.address}/services")
    channels(monkeypatch, "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#alerts").send("desk", TITLE, BODY)
    ((path, got),) = http.got
    assert path == "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    assert BODY in json.dumps(got)


def test_telegram_gets_it_by_its_bot(http: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NotifyTelegram, "notify_url", f"http://{http.address}/bot")
    channels(monkeypatch, "tgram://123456789:abcdefghijklmnopqrstuvwxyz012345678/4242").send("desk", TITLE, BODY)
    (path, got) = http.got[-1]
    assert path == "/bot123456789:abcdefghijklmnopqrstuvwxyz012345678/sendMessage"
    assert BODY in got["text"]


def test_mail_gets_to_its_server(mail: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    port = mail.server_address[1]
    url = f"mailto://127.0.0.1:{port}/?mode=insecure&from=platform@example.org&to=desk@example.org"
    channels(monkeypatch, url).send("desk", TITLE, BODY, "ended")
    (text,) = mail.mails
    assert "To: desk@example.org" in text
    assert "BTC-USDT rose" in text


@pytest.mark.parametrize("status", [500, 401])
def test_what_a_channel_refuses_is_told_without_its_secrets(
    status: int, http: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    http.status = status
    with pytest.raises(TransientError, match=str(status)) as raised:
        channels(monkeypatch, f"json://robot:canary-pass@{http.address}/canary-path?x=1").send("desk", TITLE, BODY)
    assert "canary" not in str(raised.value)


def test_a_channel_that_is_away_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TransientError, match="onnection") as raised:
        channels(monkeypatch, "json://robot:canary-pass@127.0.0.1:9/canary").send("desk", TITLE, BODY)
    assert "canary" not in str(raised.value)


def test_a_channel_that_is_none_or_not_set_names_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PermanentError, match="CRYPTO_INTEL_CHANNELS__DESK is no address") as raised:
        channels(monkeypatch, "nothing://canary").send("desk", TITLE, BODY)
    assert "canary" not in str(raised.value)
    with pytest.raises(NotConfigured, match="CRYPTO_INTEL_CHANNELS__PHONE"):
        Channels().send("phone", TITLE, BODY)
