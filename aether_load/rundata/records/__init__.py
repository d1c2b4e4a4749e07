"""Write the request records as the sender does, and read them as tables."""
