"""What is durable: plain functions that take a connection. PostgreSQL with PostGIS, isolated by organisation."""
