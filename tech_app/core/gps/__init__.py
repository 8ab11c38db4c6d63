"""Where fixes come from."""
