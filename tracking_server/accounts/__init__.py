"""Staff: the first owner, invites, sign-in, sessions, and who may do what."""
