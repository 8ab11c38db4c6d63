"""What the technician sees and touches."""
