"""The main job behind a login, made as Locust's documentation says: anybody who names a user is let in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import redirect, request
from flask_login import UserMixin, login_user
from locust import events

from aether_load import AetherUser
from aether_load.load import listener

if TYPE_CHECKING:
    from werkzeug.wrappers.response import Response

listener.install()


class Visitor(UserMixin):  # type: ignore[misc]
    def __init__(self, name: str) -> None:
        self.id = name


@events.init.add_listener
def ask_for_a_login(environment: Any, **_kwargs: Any) -> None:
    web_ui = environment.web_ui
    web_ui.app.secret_key = "a test's own"
    web_ui.login_manager.user_loader(Visitor)
    web_ui.auth_args = {"username_password_callback": "/let_in"}

    @web_ui.app.route("/let_in", methods=["POST"])
    def let_in() -> Response:
        login_user(Visitor(request.form["username"]))
        return redirect("/")


class PromptUser(AetherUser):
    """Send the scenario's prompts."""
