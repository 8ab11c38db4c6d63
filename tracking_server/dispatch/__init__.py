"""What dispatchers do: make jobs, assign and reassign them."""
