"""AetherUser: a Locust user whose requests go out on a connection of its own and are recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from locust import User
from locust.env import Environment
from locust.exception import StopUser

from aether_load.datasets.prompt import Prompt
from aether_load.load.users.execution import NOT_SENT, Execution, execution_of
from aether_load.load.users.iterated_tasks import iterated
from aether_load.load.users.own_requests import PLAIN, ModelSettings
from aether_load.load.users.task_passes import TaskPass, TaskPasses
from aether_load.load.users.user_requests import Request
from aether_load.load.users.user_sender import UserSender


class AetherUser(User):
    """One client of an Aether runtime.

    A subclass without tasks sends the scenario's prompts. One with tasks runs those as any Locust user does, and sends
    with `execute`. Either sends while its phase wants it to.
    """

    abstract = True
    is_aether_user = True
    """Whether users of the class send by this package."""

    def __init_subclass__(cls, **more: Any) -> None:
        """Take note whether the class has tasks, before Locust filters them by their tags."""
        super().__init_subclass__(**more)
        own = [task for task in cls.tasks if task is not AetherUser._replay]
        cls.has_tasks = bool(own)
        cls.tasks = own or [AetherUser._replay]

    has_tasks: bool = False
    """Whether the class has tasks of its own."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        kind = type(self)
        self.tasks = [iterated(task, kind.__name__) for task in kind.tasks] if kind.has_tasks else [AetherUser._replay]
        self._sender: UserSender
        self._passes: TaskPasses | None = None
        self._is_ending = False
        vars(self)["on_stop"] = self._ending(self.on_stop)

    def _ending(self, on_stop: Callable[[], object]) -> Callable[[], None]:
        """Have this user know that it ends before its own code hears of it."""

        def ending() -> None:
            self._is_ending = True
            on_stop()

        return ending

    def next_prompt(self) -> Prompt:
        """Return the next prompt of the scenario's datasets: each once a pass, whoever asks, over workers too.

        In open load the first one of a task is that of the arrival. Ends the task when the phase's passes are over.
        """
        passes = self._attached()
        if passes.current is None:
            with passes.own_pass() as current:
                return passes.next_prompt(current)
        return passes.next_prompt(passes.current)

    def execute(
        self,
        what: Prompt | str | Mapping[str, Any],
        *,
        name: str,
        context: Mapping[str, Any] | None = None,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        sequential: bool = False,
    ) -> Execution:
        """Send one request, wait for its answer, and return what it says.

        `what` is a prompt of the scenario, a text that one LLM node is asked, or a DAG as the runtime takes it
        (`{"nodes": [...]}`, or a whole body). `name` stands for the request in every output, where otherwise the
        dataset stands. Settings that are None are the scenario's. A request that fails is no exception: see
        `Execution.ok`. Raises ValueError for what cannot be sent.
        """
        passes = self._attached()
        plain = context is None and model is None and temperature is None and max_tokens is None and not sequential
        settings = PLAIN if plain else ModelSettings(context, model, temperature, max_tokens, sequential)
        request = self._sender.requests.request(what, name, settings)
        if passes.current is None:
            if self._is_ending and not self._sender.context.user_pool.places.is_kept():
                return NOT_SENT
            with passes.own_pass() as current:
                return self._send(passes, current, request, name)
        return NOT_SENT if self._is_ending else self._send(passes, passes.current, request, name)

    def iterate(self, name: str, run: Callable[[], object]) -> None:
        """Run one pass of a task and record it; an exception in it is a failed pass, and the user goes on."""
        self._attached().iterate(name, run)

    def _send(self, passes: TaskPasses, current: TaskPass, request: Request, name: str) -> Execution:
        context = self._sender.context
        work = passes.begin_request(current, request.place)
        data = request.data
        if data is None:
            data = context.sides[0].prepared.bytes_of(work[0], request.place)
        current.requests += 1
        try:
            outcome, reason, told, sent_ns, ended_ns = self._sender.execute(
                work, data, request.prompt, name, request.dag
            )
        except BaseException:
            context.user_pool.leave()
            raise
        current.request_ns += ended_ns - sent_ns
        context.user_pool.places.end_request()
        return execution_of(outcome, reason, told, (ended_ns - sent_ns) / 1e6, request.answer_node)

    def _replay(self) -> None:
        """Send the scenario's prompts as long as there is work for this user."""
        self._attached()
        self._sender.send_until_left(self._sender.wait_for_work())

    def _attached(self) -> TaskPasses:
        """Return this user's passes; connects when it is asked for first, and ends where no run could be begun."""
        if self._passes is None:
            # What the senders of the run under way have in common; there is none where the run was refused.
            context = vars(self.environment)["aether"]
            if context is None:
                raise StopUser
            self._sender = UserSender(self, context, has_tasks=type(self).has_tasks)
            self._passes = TaskPasses(self, self._sender)
        return self._passes
