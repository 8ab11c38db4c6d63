"""The map under the markers: built from OpenStreetMap, served from one file, or fetched from a tile host."""
