"""The account pages below `/board`: set-up, joining, signing in and out, one's own account, the staff."""

from __future__ import annotations

from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tracking_server import words
from tracking_server.accounts.forms import read_form, text
from tracking_server.accounts.gate import Gate, answer, go, language_of, said
from tracking_server.accounts.passwords import LONGEST, SHORTEST
from tracking_server.accounts.people import NewOrganisation, NewStaff, Refused
from tracking_server.domain.role import Deed, Role
from tracking_server.store.accounts import Session

STATUS = {"many": 429, "gone": 410, "nobody": 404}  # else 422


class AccountPages:
    """Serves them. Knows nothing of jobs."""

    def __init__(self, gate: Gate, public_url: str) -> None:
        self._gate = gate
        self._people = gate.people
        self._public_url = public_url

    def routes(self) -> list[Route]:
        """Every path, with who may come in."""
        all_, staff = self._gate.for_all, self._gate.for_staff
        both = ["GET", "POST"]
        return [
            Route("/board/setup/{token}", all_(self._set_up), methods=both),
            Route("/board/join/{token}", all_(self._join), methods=both),
            Route("/board/sign-in", all_(self._sign_in), methods=both),
            Route("/board/sign-out", all_(self._sign_out), methods=["POST"]),
            Route("/board/account", staff(Deed.look, self._account), methods=["GET"]),
            Route("/board/account/everywhere", staff(Deed.look, self._everywhere), methods=["POST"]),
            Route("/board/account/password", staff(Deed.look, self._password), methods=["POST"]),
            Route("/board/account/language", staff(Deed.look, self._speak), methods=["POST"]),
            Route("/board/staff", staff(Deed.manage, self._staff), methods=["GET"]),
            Route("/board/staff/invite", staff(Deed.manage, self._invite), methods=["POST"]),
            Route("/board/staff/{staff_id:uuid}/disable", staff(Deed.manage, self._disable), methods=["POST"]),
            Route("/board/staff/{staff_id:uuid}/enable", staff(Deed.manage, self._enable), methods=["POST"]),
        ]

    async def _set_up(self, request: Request) -> Response:
        try:
            token = await self._people.setup(request.path_params["token"], _address(request))
        except Refused as error:
            return said(request, None, error.reason, STATUS[error.reason])
        facts = {"token": token, "zones": sorted(available_timezones()), "shortest": SHORTEST}
        if request.method != "POST":
            return answer(request, None, "setup.html", reason=None, form={}, **facts)
        form = await read_form(request)
        try:
            firm = None if token.organisation_id else _organisation(form)
            return self._gate.signed_in(await self._people.set_up(token, firm, _new_staff(request, form)))
        except Refused as error:
            return answer(request, None, "setup.html", 422, reason=error.reason, form=form, **facts)

    async def _join(self, request: Request) -> Response:
        try:
            invite = await self._people.invited(request.path_params["token"], _address(request))
        except Refused as error:
            return said(request, None, error.reason, STATUS[error.reason])
        facts = {"invite": invite, "shortest": SHORTEST}
        if request.method != "POST":
            return answer(request, None, "join.html", reason=None, form={}, **facts)
        form = await read_form(request)
        new = _new_staff(request, form)
        try:
            return self._gate.signed_in(await self._people.join(invite, new.name, new.password, new.language))
        except Refused as error:
            return answer(request, None, "join.html", 422, reason=error.reason, form=form, **facts)

    async def _sign_in(self, request: Request) -> Response:
        if request.method != "POST":
            return answer(request, None, "sign_in.html", reason=None, email="")
        form = await read_form(request)
        email, present = text(form, "email", 256), self._gate.token(request.headers)
        try:
            token = await self._people.sign_in(email, form.get("password", ""), _address(request), present)
        except Refused as error:
            status = STATUS.get(error.reason, 401)
            return answer(request, None, "sign_in.html", status, reason=error.reason, email=email)
        return self._gate.signed_in(token)

    async def _sign_out(self, request: Request) -> Response:
        await self._people.sign_out(self._gate.token(request.headers))
        return self._gate.signed_out()

    async def _everywhere(self, _: Request, session: Session) -> Response:
        await self._people.sign_out_everywhere(session.staff)
        return self._gate.signed_out()

    async def _account(self, request: Request, session: Session) -> Response:
        return answer(request, session, "account.html", reason=None, shortest=SHORTEST)

    async def _password(self, request: Request, session: Session) -> Response:
        form = await read_form(request)
        present, new = form.get("present", ""), form.get("password", "")
        try:
            token = await self._people.change_password(session.staff, present, new, _address(request))
        except Refused as error:
            status = STATUS.get(error.reason, 422)
            return answer(request, session, "account.html", status, reason=error.reason, shortest=SHORTEST)
        return self._gate.signed_in(token, "/board/account")

    async def _speak(self, request: Request, session: Session) -> Response:
        form = await read_form(request)
        if form.get("language") not in words.LANGUAGES:
            return said(request, session, "language", 422)
        await self._people.speak(session.staff, form["language"])
        return go("/board/account")

    async def _staff(self, request: Request, session: Session, /) -> Response:
        return await self._show_staff(request, session, 200)

    async def _invite(self, request: Request, session: Session) -> Response:
        form = await read_form(request)
        role = form.get("role", "")
        if role not in list(Role):
            return await self._show_staff(request, session, 422, reason="choice")
        try:
            token = await self._people.invite(session.staff, text(form, "email", 256), Role(role))
        except Refused as error:
            return await self._show_staff(request, session, 422, reason=error.reason)
        return await self._show_staff(request, session, 200, link=f"{self._public_url}/board/join/{token}")

    async def _disable(self, request: Request, session: Session) -> Response:
        return await self._set_disabled(request, session, disabled=True)

    async def _enable(self, request: Request, session: Session) -> Response:
        return await self._set_disabled(request, session, disabled=False)

    async def _set_disabled(self, request: Request, session: Session, *, disabled: bool) -> Response:
        staff_id: UUID = request.path_params["staff_id"]
        try:
            await self._people.set_disabled(session.staff, staff_id, disabled=disabled)
        except Refused as error:
            return said(request, session, error.reason, STATUS.get(error.reason, 422))
        return go("/board/staff")

    async def _show_staff(
        self, request: Request, session: Session, status: int, reason: str | None = None, link: str | None = None
    ) -> Response:
        colleagues = await self._people.colleagues(session.staff)
        facts = {"colleagues": colleagues, "roles": list(Role), "reason": reason, "link": link}
        return answer(request, session, "staff.html", status, **facts)


def _address(request: Request) -> str:
    """Who asks; behind a proxy, whom the trusted proxy names."""
    return request.client.host if request.client else ""


def _new_staff(request: Request, form: dict[str, str]) -> NewStaff:
    language = form.get("language", "")
    return NewStaff(
        name=text(form, "name"),
        email=text(form, "email", 256),
        password=form.get("password", "")[: LONGEST + 1],
        language=language if language in words.LANGUAGES else language_of(request, None),
    )


def _organisation(form: dict[str, str]) -> NewOrganisation:
    try:
        zone = ZoneInfo(text(form, "time_zone")).key
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise Refused("time_zone") from None
    return NewOrganisation(text(form, "organisation"), zone, text(form, "office_phone", 40) or None)
