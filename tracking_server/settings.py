"""Every knob, read from the environment (`DOORSTEP_...`). Without database settings the embedded servers are used."""

from __future__ import annotations

import re
from email.utils import parseaddr
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = Annotated[int, Field(ge=1, le=65_535)]


class SmsGateway(StrEnum):
    """Which language the SMS gateway speaks; none: no short messages."""

    none = ""
    twilio = "twilio"
    http = "http"


class Settings(BaseSettings):
    """What an installation is configured by."""

    model_config = SettingsConfigDict(env_prefix="DOORSTEP_", extra="ignore")

    database_url: str = ""
    owner_database_url: str = ""
    redis_url: str = ""
    embedded: bool = False
    host: str = "127.0.0.1"
    port: Port = 8020
    public_url: str = ""
    clock: str = "wall"
    processes: Annotated[int, Field(ge=1)] = 1
    flushers: Annotated[int, Field(ge=1)] = 2
    smtp_host: str = ""
    smtp_port: Port = 587
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_starttls: bool = True
    mail_from: str = "Doorstep <doorstep@localhost>"
    road_engine_url: str = ""
    basemap: str = ""
    tile_url: str = ""
    tile_attribution: str = ""
    sms_gateway: SmsGateway = SmsGateway.none
    sms_url: str = ""
    sms_account: str = ""
    sms_token: SecretStr = SecretStr("")
    sms_from: str = ""
    sms_inbound_secret: SecretStr = SecretStr("")
    webhooks_local: bool = False
    attachments: str = ""

    @field_validator("road_engine_url")
    @classmethod
    def _an_engine(cls, value: str) -> str:
        if value and not (urlsplit(value).scheme in ("http", "https") and urlsplit(value).hostname):
            raise ValueError("write where Valhalla is, as http://HOST:8002")
        return value.rstrip("/")

    @field_validator("public_url", "sms_url")
    @classmethod
    def _without_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("mail_from")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", parseaddr(value)[1]):
            raise ValueError("not a sender: write it as 'Firm <office@example.org>'")
        return value

    @field_validator("tile_url")
    @classmethod
    def _a_tile_host(cls, value: str) -> str:
        """The page's security policy names the host, so it must be one; {s} stands for any of its mirrors."""
        url = urlsplit(value)
        host = url.netloc.removeprefix("{s}.")
        good = (
            url.scheme == "https" and re.fullmatch(r"[\w.-]+(:\d+)?", host) and {"{z}", "{x}", "{y}"} <= _fields(value)
        )
        if value and not good:
            raise ValueError("write it as https://HOST/{z}/{x}/{y}.png; HOST may begin with {s}.")
        return value

    @model_validator(mode="after")
    def _check(self) -> Settings:
        if self.clock != "wall" and not self.embedded:
            raise ValueError(
                "DOORSTEP_CLOCK: a scaled clock is for replays on the embedded installation only; unset it"
            )
        if self.database_url and not self.redis_url:
            raise ValueError("DOORSTEP_REDIS_URL: set it too, as DOORSTEP_DATABASE_URL is set")
        if self.tile_url and self.basemap:
            raise ValueError("DOORSTEP_TILE_URL: pages draw one map, and DOORSTEP_BASEMAP is set; unset one of them")
        if self.tile_url and not self.tile_attribution:
            raise ValueError(
                "DOORSTEP_TILE_ATTRIBUTION: set it to what the host of DOORSTEP_TILE_URL wants to be named"
            )
        self._check_sms()
        if not self.public_url:
            self.public_url = f"http://{_reached_at(self.host)}:{self.port}"
        return self

    def _check_sms(self) -> None:
        if self.sms_gateway is SmsGateway.none:
            return
        if self.sms_gateway is SmsGateway.twilio:
            self.sms_url = self.sms_url or TWILIO_URL
        needed = {"sms_url": self.sms_url, "sms_token": self.sms_token.get_secret_value(), "sms_from": self.sms_from}
        if self.sms_gateway is SmsGateway.twilio:
            needed["sms_account"] = self.sms_account
        missing = [f"DOORSTEP_{name.upper()}" for name, value in needed.items() if not value]
        if missing:
            raise ValueError(f"DOORSTEP_SMS_GATEWAY is {self.sms_gateway.value}: set {', '.join(missing)} too")


TWILIO_URL = "https://api.twilio.com"


def _fields(template: str) -> set[str]:
    return set(re.findall(r"\{\w+\}", template))


def _reached_at(host: str) -> str:
    """The address in a URL for this machine; who listens on all addresses is reached at one."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (looked for, not listened on)
    return f"[{host}]" if ":" in host else host
