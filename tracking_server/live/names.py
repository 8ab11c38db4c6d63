"""Every Redis key, channel and time to live, once."""

UPDATES = "doorstep:updates"  # one channel: each process has one subscription and sorts by job itself
TRIES = "doorstep:tries"  # of signing in, by account and by address; each lives for the limit's window
