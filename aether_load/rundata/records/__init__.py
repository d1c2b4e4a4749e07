"""Write the request records as the sender does, and read their blocks."""
