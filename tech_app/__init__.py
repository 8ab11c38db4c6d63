"""The technician's phone app."""
