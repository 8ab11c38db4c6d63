"""`./doorstep bench NAME`: what this machine does, always against a baseline of the same run."""
