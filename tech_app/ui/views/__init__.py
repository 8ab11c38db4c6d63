"""What each screen says, as plain values: no Kivy here, so that every sentence can be tested without a window."""
