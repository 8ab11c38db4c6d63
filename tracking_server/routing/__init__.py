"""The road network, as a road engine beside the service knows it."""
