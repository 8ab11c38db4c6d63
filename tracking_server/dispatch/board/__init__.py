"""The dispatcher's board: its pages and what they are made of."""
