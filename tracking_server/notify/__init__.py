"""Edge out, people not watching: messages."""
