"""What a firm may tune, kept in `organisation.settings`. The defaults are here, also for what cannot be read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from tracking_server.domain.message import Channel, MessageKind
from tracking_server.domain.proof import Proof, Rule

log = structlog.get_logger()
Country = Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")]
Language = Literal["en", "th", "ar"]
CLOCK_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


class Template(BaseModel):
    """A firm's own words for one kind in one language; what is None keeps the catalogue's words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sms: str | None = None
    subject: str | None = None
    body: str | None = None


class OrganisationSettings(BaseModel):
    """A firm's settings about messages, and what its visits ask for as proof. Times of day are local to the visit."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    quiet_from: str = "21:00"
    quiet_to: str = "08:00"
    channels: tuple[Channel, ...] = (Channel.sms, Channel.email)
    reminder_lead_h: Annotated[float, Field(ge=0, le=336)] = 24.0
    same_kind_apart_s: Annotated[float, Field(ge=0, le=3600)] = 120.0
    sms_per_job: Annotated[int, Field(ge=0, le=100)] = 6
    sms_per_day: Annotated[int, Field(ge=0, le=1_000_000)] = 500
    sms_countries: tuple[Country, ...] = ()
    proof: dict[Proof, Rule] = Field(default_factory=dict)
    templates: dict[MessageKind, dict[Language, Template]] = Field(default_factory=dict)

    @field_validator("quiet_from", "quiet_to")
    @classmethod
    def _a_time_of_day(cls, value: str) -> str:
        if not CLOCK_TIME.fullmatch(value):
            raise ValueError("write a time of day as 21:00")
        return value

    @field_validator("channels")
    @classmethod
    def _to_people(cls, value: tuple[Channel, ...]) -> tuple[Channel, ...]:
        if not set(value) <= {Channel.sms, Channel.email} or len(set(value)) != len(value):
            raise ValueError("name sms and email, in the order in which they are tried, each at most once")
        return value


def read_settings(kept: Mapping[str, Any] | object) -> OrganisationSettings:
    """A firm's settings; one that cannot be read is logged by its name and taken as its default."""
    if not isinstance(kept, Mapping):
        log.warning("settings_not_read", names=["all"])
        return OrganisationSettings()
    try:
        return OrganisationSettings.model_validate(kept)
    except ValidationError as error:
        wrong = {str(problem["loc"][0]) for problem in error.errors()}
        log.warning("settings_not_read", names=sorted(wrong))
        return OrganisationSettings.model_validate({name: value for name, value in kept.items() if name not in wrong})
