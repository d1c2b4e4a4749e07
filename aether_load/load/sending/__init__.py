"""Hand out work to users, send it, and record the answers."""
