"""Commands about what customers and a firm's own systems are told: messages, templates and limits, webhooks."""

from __future__ import annotations

import json
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
import typer
from pydantic import ValidationError

from tracking_server.dispatch.jobs import NotFound, NotPossible
from tracking_server.domain import sms
from tracking_server.domain.job import State
from tracking_server.domain.message import Channel, Message, MessageKind, Standing
from tracking_server.firm_commands import Language, Organisation, Work, in_store
from tracking_server.installation import Json, UserError, show, show_one
from tracking_server.notify.channels.outbound import Forbidden, check_url
from tracking_server.notify.compose import compose, document
from tracking_server.notify.templates import BadTemplate, check
from tracking_server.organisation_settings import OrganisationSettings, read_settings
from tracking_server.settings import Settings
from tracking_server.store import messages as message_store
from tracking_server.store import webhooks
from tracking_server.store.schema import organisation as organisation_table

messages_app = typer.Typer(help="What customers were told, and why not.", no_args_is_help=True)
webhooks_app = typer.Typer(help="Where a firm's own systems are told what happens.", no_args_is_help=True)
PREVIEW_LINK = "https://example.invalid/t/LINK"


@messages_app.command("list")
def list_messages(
    job: Annotated[UUID | None, typer.Option(help="Only those about this job.")] = None,
    state: Annotated[Standing | None, typer.Option(help="Only those that are so.")] = None,
    most: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    organisation: Organisation = None,
    as_json: Json = False,
) -> None:
    """The newest messages: what became of each, and why."""

    async def do(work: Work) -> list[dict[str, Any]]:
        return await message_store.list_messages(
            work.connection, work.organisation_id, job_id=job, standing=state, most=most
        )

    show(in_store(do, organisation), as_json)


@messages_app.command("show")
def show_message(message: UUID, organisation: Organisation = None, as_json: Json = False) -> None:
    """Everything that is known of one message."""

    async def do(work: Work) -> dict[str, Any]:
        found = await message_store.show_message(work.connection, work.organisation_id, message)
        if found is None:
            raise NotFound(f"there is no message {message}")
        found.pop("draft")  # it holds the customer's link
        return found

    show_one(in_store(do, organisation), as_json)


@messages_app.command("retry")
def retry_message(message: UUID, organisation: Organisation = None) -> None:
    """Send a message that failed once more."""

    async def do(work: Work) -> None:
        if not await message_store.retry_message(work.connection, work.organisation_id, message, work.now_s):
            raise NotPossible(f"message {message} has not failed: there is nothing to send again")

    in_store(do, organisation)


@messages_app.command("preview")
def preview_message(
    job: UUID,
    kind: MessageKind,
    channel: Annotated[Channel, typer.Option(help="sms, email or webhook.")] = Channel.sms,
    language: Language = "en",
    was: Annotated[str, typer.Option(help="What a correction takes back: arrived or completed.")] = "arrived",
    organisation: Organisation = None,
    as_json: Json = False,
) -> None:
    """How a message about a job would read now. Nothing is sent."""
    if channel is Channel.none or was not in ("arrived", "completed"):
        raise typer.BadParameter("the channel is sms, email or webhook; --was is arrived or completed")
    taken_back = State(was) if kind is MessageKind.correction else None

    async def do(work: Work) -> dict[str, Any]:
        visit = await message_store.read_visit(work.connection, work.organisation_id, job)
        if visit is None:
            raise NotFound(f"there is no job {job}")
        visit = visit.at(work.now_s)
        if channel is Channel.webhook:
            about = {"at_s": work.now_s} | ({"was": was} if taken_back else {})
            example = Message(job, job, kind, visit.job.visit, "", Standing.owed, None, about, None, channel)
            return {"body": document(example, visit)}
        settings = read_settings(await _settings(work))
        text = compose(channel, kind, taken_back, visit, language, PREVIEW_LINK, settings)
        if channel is Channel.sms:
            return {"text": text.body, "parts": sms.parts(text.body), "remark": text.remark or None}
        return {"subject": text.subject, "body": text.body, "remark": text.remark or None}

    show_one(in_store(do, organisation), as_json)


@messages_app.command("settings")
def message_settings(
    change: Annotated[
        str | None, typer.Argument(help='JSON: \'{"quiet_from": "22:00"}\'; null is the default.')
    ] = None,
    organisation: Organisation = None,
    as_json: Json = False,
) -> None:
    """Quiet hours, limits, reminders, templates: show them, or change those that are named."""
    wanted = _changes(change)

    async def do(work: Work) -> dict[str, Any]:
        kept = dict(await _settings(work))
        kept = {name: value for name, value in (kept | wanted).items() if value is not None}
        try:
            known = OrganisationSettings.model_validate(kept)
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"]))
            raise UserError(f"{place}: {problem['msg'].removeprefix('Value error, ')}") from None
        _check_templates(known)
        await work.connection.execute(
            organisation_table.update().where(organisation_table.c.id == work.organisation_id).values(settings=kept)
        )
        return known.model_dump(mode="json", exclude_none=True)

    show_one(in_store(do, organisation), as_json)


def _changes(change: str | None) -> dict[str, Any]:
    """What the user wants changed; a name that is none is said, not kept for ever without an effect."""
    try:
        wanted = json.loads(change or "{}")
    except ValueError:
        wanted = None
    if not isinstance(wanted, dict):
        raise UserError('write the change as JSON: \'{"quiet_from": "22:00"}\'')
    if unknown := set(wanted) - set(OrganisationSettings.model_fields):
        known = ", ".join(OrganisationSettings.model_fields)
        raise UserError(f"there is no setting {', '.join(sorted(unknown))}; there is {known}")
    return wanted


def _check_templates(settings: OrganisationSettings) -> None:
    for kind, by_language in settings.templates.items():
        for language, template in by_language.items():
            for part, text in template.model_dump(exclude_none=True).items():
                try:
                    check(part, text)
                except BadTemplate as error:
                    raise UserError(f"templates.{kind.value}.{language}.{part}: {error}") from None


async def _settings(work: Work) -> dict[str, Any]:
    statement = sa.select(organisation_table.c.settings).where(organisation_table.c.id == work.organisation_id)
    return dict(await work.connection.scalar(statement) or {})


@webhooks_app.command("create")
def create_webhook(
    url: Annotated[str, typer.Argument(help="https://...")], organisation: Organisation = None, as_json: Json = False
) -> None:
    """Tell this address what happens; prints the secret that signs it, this once."""
    try:
        check_url(url, local=Settings().webhooks_local)
    except Forbidden as error:
        raise UserError(str(error)) from None

    async def do(work: Work) -> dict[str, Any]:
        webhook_id, secret = await webhooks.insert_webhook(work.connection, work.organisation_id, url, work.now_s)
        return {"id": webhook_id, "secret": secret}

    show_one(in_store(do, organisation), as_json)


@webhooks_app.command("show")
def show_webhooks(organisation: Organisation = None, as_json: Json = False) -> None:
    """All of them, and since when one is off."""

    async def do(work: Work) -> list[dict[str, Any]]:
        return list(await webhooks.webhooks(work.connection, work.organisation_id))

    show(in_store(do, organisation), as_json)


@webhooks_app.command("enable")
def enable_webhook(webhook: UUID, organisation: Organisation = None) -> None:
    """Turn one on again."""
    _set_disabled(webhook, None, organisation)


@webhooks_app.command("disable")
def disable_webhook(webhook: UUID, organisation: Organisation = None) -> None:
    """Turn one off; what it is owed is skipped."""
    _set_disabled(webhook, "turned off by hand", organisation)


def _set_disabled(webhook: UUID, reason: str | None, organisation: UUID | None) -> None:
    async def do(work: Work) -> None:
        if not await webhooks.set_disabled(work.connection, work.organisation_id, webhook, reason, work.now_s):
            raise NotFound(f"there is no webhook {webhook}")

    in_store(do, organisation)


@webhooks_app.command("delete")
def delete_webhook(webhook: UUID, organisation: Organisation = None) -> None:
    """Forget one, with its secret."""

    async def do(work: Work) -> None:
        if not await webhooks.delete_webhook(work.connection, work.organisation_id, webhook):
            raise NotFound(f"there is no webhook {webhook}")

    in_store(do, organisation)
