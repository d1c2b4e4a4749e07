"""One run carried by many processes: Locust's master and its workers, and what they say to each other beside it."""
