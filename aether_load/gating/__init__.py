"""The command `aether-load gate`: starts servers and Locust, and says what came of it."""
