"""Doorstep's service: keeps every acknowledged fix, judges arrivals and tells those who wait."""
