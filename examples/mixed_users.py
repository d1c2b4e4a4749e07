"""A mix of classes: three readers for each writer, one monitor in all, and each sends as it likes.

locust -f examples/mixed_users.py --headless -u 9 -t 10s
"""

from locust import SequentialTaskSet, between, constant, task

from aether_load import AetherUser

OUTLINE = {
    "nodes": [
        {"id": "facts", "node_type": "llm_fn", "prompt_template": "List three facts about tea.", "dependencies": []},
        {"id": "tone", "node_type": "llm_fn", "prompt_template": "Name a friendly tone.", "dependencies": []},
        {
            "id": "letter",
            "node_type": "llm_fn",
            "prompt_template": "Write a letter. Facts: {{node.facts.output}} Tone: {{node.tone.output}}",
            "dependencies": ["facts", "tone"],
        },
    ]
}


class Reader(AetherUser):
    """Send the scenario's prompts, one after the other, with a pause in between."""

    weight = 3
    wait_time = between(0.05, 0.1)

    @task
    def read(self) -> None:
        """Send one prompt with room for a longer answer."""
        self.execute(self.next_prompt(), name="read", max_tokens=64)


class Writer(AetherUser):
    """Write a letter by a DAG of three nodes, then have it checked: always in this order."""

    weight = 1
    wait_time = constant(0.1)

    @task
    class Letter(SequentialTaskSet):
        """A letter and its check."""

        letter = ""

        @task
        def write(self) -> None:
            """Send a DAG of one's own."""
            written = self.user.execute(OUTLINE, name="write")
            self.letter = str(written.outputs.get("letter", ""))

        @task
        def check(self) -> None:
            """Send a text that depends on the last answer."""
            self.user.execute(f"Is this polite? {self.letter}", name="check", temperature=0.0)


class Monitor(AetherUser):
    """Ask a short question again and again: one user of this class, however many there are of the others."""

    fixed_count = 1
    wait_time = constant(0.5)

    @task
    def ping(self) -> None:
        """Send a text."""
        self.execute("Say yes.", name="ping", max_tokens=1)
