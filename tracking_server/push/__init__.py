"""Edge out, people watching: pages and their streams of updates."""
