"""The shift in the background, on Android: a process without a screen. Could not be run where this was written."""
