"""What is true without a computer network: pure functions and values.

Time is an argument everywhere and always UTC seconds since 1970 as a float (`*_s`); the store and the wire convert.
Coordinates are WGS 84 degrees, longitude first. Distances are metres.
"""
