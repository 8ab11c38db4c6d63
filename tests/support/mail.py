"""An SMTP server for tests: keeps what it accepts, and misbehaves when told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from tracking_server.settings import Settings


@dataclass
class MailSink:
    """What arrived. `answers` replaces good answers, by command; `drop_after_data` hangs up instead of accepting."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[str] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    drop_after_data: bool = False

    def settings(self, **other: str) -> Settings:
        """Settings that name this server."""
        return Settings.model_validate(
            {
                "public_url": "https://doorstep.example",
                "smtp_host": "127.0.0.1",
                "smtp_port": self.port,
                "smtp_starttls": False,
                "mail_from": "Doorstep <visits@doorstep.example>",
                **other,
            }
        )

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink\r\n")
        while line := await reader.readline():
            verb = line.split()[0].decode().upper() if line.split() else ""
            answer = self.answers.get(verb) or ("221 bye" if verb == "QUIT" else "250 ok")
            if verb == "RCPT":
                self.envelopes.append(line.decode().strip())
            if verb == "DATA" and verb not in self.answers:
                writer.write(b"354 go on\r\n")
                await self._take(reader)
                if self.drop_after_data:
                    break
            writer.write(f"{answer}\r\n".encode())
            if verb == "QUIT":
                break
        writer.close()

    async def _take(self, reader: asyncio.StreamReader) -> None:
        lines = []
        while (line := await reader.readline()) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        mail = message_from_bytes(b"".join(lines), policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)


@asynccontextmanager
async def mail_sink() -> AsyncIterator[MailSink]:
    """Serve on a free port until the block ends."""
    sink = MailSink()
    server = await asyncio.start_server(sink.talk, "127.0.0.1", 0)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()
