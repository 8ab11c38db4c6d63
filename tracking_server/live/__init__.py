"""The present, rebuildable: Redis may be wiped at any moment, the store knows everything."""
