"""E-mail over SMTP: build a mail that nothing can be smuggled into, hand it over, and say how that went."""

from __future__ import annotations

import asyncio
import contextlib
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import formatdate, parseaddr

import aiosmtplib

from tracking_server.notify.channels.outgoing import Outgoing, Refused, Unreachable
from tracking_server.settings import Settings

ANSWER_WITHIN_S = 15.0  # each answer of the server
DELIVER_WITHIN_S = 60.0  # the whole conversation
TLS_FROM_THE_START = 465  # the port on which TLS needs no STARTTLS (RFC 8314)
POLICY = SMTP_POLICY.clone(cte_type="7bit")  # any server takes it


class Mailer:
    """Hands mails to the configured server, one connection each."""

    keeps_keys = True  # the Message-ID: sent twice, it is one mail to most mailboxes

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sender = one_address(parseaddr(settings.mail_from)[1])
        if self._sender is None:
            raise ValueError("DOORSTEP_MAIL_FROM is not an e-mail address: no mail can be sent in its name")

    async def send(self, mail: Outgoing) -> None:
        """Returns when the server has accepted the mail; raises `Refused` or `Unreachable`."""
        message = self._message(mail)
        client = self._client()
        try:
            async with asyncio.timeout(DELIVER_WITHIN_S):
                await client.connect()
                await client.send_message(message)
        except aiosmtplib.SMTPNotSupported:
            raise Refused("address_not_supported") from None
        except aiosmtplib.SMTPRecipientsRefused as refusal:
            raise _by_code(refusal.recipients[0].code) from None
        except (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPRecipientRefused, aiosmtplib.SMTPDataError) as refusal:
            raise _by_code(refusal.code) from None
        except aiosmtplib.SMTPResponseException as answer:  # greeting, TLS or sign-in: says nothing about this mail
            raise Unreachable(f"server_{answer.code}") from None
        except TimeoutError:
            raise Unreachable("timeout", in_the_dark=True) from None
        except (OSError, aiosmtplib.SMTPException):
            raise Unreachable("no_connection", in_the_dark=True) from None
        finally:
            await _hang_up(client)

    def _client(self) -> aiosmtplib.SMTP:
        settings = self._settings
        tls = settings.smtp_port == TLS_FROM_THE_START
        return aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_user or None,
            password=settings.smtp_password.get_secret_value() or None,
            use_tls=tls,
            start_tls=settings.smtp_starttls and not tls,
            local_hostname=self._domain,
            timeout=ANSWER_WITHIN_S,
        )

    @property
    def _domain(self) -> str:
        return self._sender.domain if self._sender else "localhost"

    def _message(self, mail: Outgoing) -> EmailMessage:
        recipient = one_address(mail.recipient)
        if recipient is None or self._sender is None:
            raise Refused("bad_address")
        message = EmailMessage(POLICY)
        message["Message-ID"] = f"<{mail.key}@{self._domain}>"
        message["Date"] = formatdate(mail.at_s)
        message["From"] = Address(_one_line(mail.sender), addr_spec=self._sender.addr_spec)
        message["To"] = recipient
        message["Subject"] = _one_line(mail.subject)
        message["Auto-Submitted"] = "auto-generated"  # no out-of-office answers (RFC 3834)
        if mail.unsubscribe_url:
            message["List-Unsubscribe"] = f"<{mail.unsubscribe_url}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # a button of the mail program (RFC 8058)
        message.set_content(mail.body)
        message["Content-Language"] = mail.language  # after the content, which takes all of its headers away
        return message


def mailer_from(settings: Settings) -> Mailer | None:
    """None when no mail server is configured."""
    return Mailer(settings) if settings.smtp_host else None


def one_address(text: str) -> Address | None:
    """The address, if this is exactly one and nothing else: no name, no list, no comment, no control character."""
    try:
        address = Address(addr_spec=text)
    except (MessageError, ValueError, IndexError):  # what the parser says of nonsense
        return None
    return address if address.addr_spec == text and address.username and address.domain else None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _by_code(code: int) -> Refused | Unreachable:
    """SMTP answers 5xx for never and 4xx for not now."""
    return Refused(f"refused_{code}") if 500 <= code < 600 else Unreachable(f"not_now_{code}")


async def _hang_up(client: aiosmtplib.SMTP) -> None:
    """Politely if the server still listens. How the goodbye goes changes nothing about the mail."""
    if client.is_connected:
        with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            await client.quit(timeout=2)
    client.close()
