"""What is made at set-up and for a release: the font and the compiled languages. Nothing here runs on a phone."""
