"""A firm that is not there: streets to drive, technicians to see, and their phones, for showing what Doorstep does."""
