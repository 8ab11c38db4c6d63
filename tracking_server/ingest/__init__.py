"""Edge in: what phones send, read into deliveries for the journey."""
