"""Let user code send requests: AetherUser, its tasks, and what they get back."""
