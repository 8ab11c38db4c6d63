"""The map widget, drawn with Kivy's graphics from the tiles on this phone."""
