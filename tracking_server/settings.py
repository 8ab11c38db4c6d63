"""Every knob, read from the environment (`DOORSTEP_...`). Without database settings the embedded servers are used."""

from __future__ import annotations

from pydantic import SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What an installation is configured by."""

    model_config = SettingsConfigDict(env_prefix="DOORSTEP_", extra="ignore")

    database_url: str = ""
    owner_database_url: str = ""
    redis_url: str = ""
    embedded: bool = False
    host: str = "127.0.0.1"
    port: int = 8020
    public_url: str = ""
    clock: str = "wall"
    flushers: int = 2
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_starttls: bool = True
    mail_from: str = "Doorstep <doorstep@localhost>"

    @model_validator(mode="after")
    def _check(self) -> Settings:
        if self.clock != "wall" and not self.embedded:
            raise ValueError(
                "DOORSTEP_CLOCK: a scaled clock is for replays on the embedded installation only; unset it"
            )
        if not self.public_url:
            self.public_url = f"http://{self.host}:{self.port}"
        return self
