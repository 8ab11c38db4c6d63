"""What staff may do."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Each may do what those after it may."""

    owner = "owner"
    dispatcher = "dispatcher"
    viewer = "viewer"


class Deed(StrEnum):
    """Kinds of things done on the board."""

    look = "look"
    dispatch = "dispatch"  # jobs, technicians, customers, the inbox
    manage = "manage"  # staff


MAY = {
    Role.owner: frozenset(Deed),
    Role.dispatcher: frozenset({Deed.look, Deed.dispatch}),
    Role.viewer: frozenset({Deed.look}),
}


def may(role: Role, deed: Deed) -> bool:
    """Whether somebody in this role may do that."""
    return deed in MAY[role]
