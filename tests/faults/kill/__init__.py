"""Everything is killed at random times, and what was promised is checked."""
