"""Recorded drives, streamed through the real service on a fast clock: what comes of them is counted."""
