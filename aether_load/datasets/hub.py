"""Load datasets from the hub, at the commit that it names now."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from aether_load.datasets.dataset import HUB_DATASETS, Row
from aether_load.errors import UsageError

HUB_TIMEOUT_S = 3.0
HUB_ANSWER_S = 4.0


class _HubFailed(BaseException):
    """A request to the hub that failed; beyond the reach of the library's `except Exception` and its retries."""


def hub_revisions(repos: list[str]) -> dict[str, str | None]:
    """Return the hub's present commit of each of `repos`; None where HF_HUB_OFFLINE, the user's own word, is set."""
    from huggingface_hub import constants  # noqa: PLC0415 -- needed only for the hub

    if constants.HF_HUB_OFFLINE or not repos:
        return dict.fromkeys(repos)
    _fail_at_once()
    return {repo: _hub_revision(repo) for repo in repos}


def _fail_at_once() -> None:
    """Make the hub's client give up at the first request that fails, and limit the time of each.

    By default it repeats some requests for 80 s, and waits for the listing of a folder without a limit.
    """
    import huggingface_hub  # noqa: PLC0415 -- needed only for the hub
    from huggingface_hub import constants  # noqa: PLC0415

    session: Any = huggingface_hub.get_session()
    send = session.send

    def send_once(request: Any, **options: Any) -> Any:
        given = request.extensions.get("timeout", {})
        steps = ("connect", "read", "write", "pool")
        request.extensions["timeout"] = {step: given.get(step) or constants.HF_HUB_DOWNLOAD_TIMEOUT for step in steps}
        try:
            response = send(request, **options)
        except Exception as error:  # noqa: BLE001 -- each transport of the hub's client has errors of its own
            raise _HubFailed(first_line(error)) from None
        if response.status_code == 429 or response.status_code >= 500:
            raise _HubFailed(f"it answers {request.url} with status {response.status_code}")
        return response

    session.send = send_once


def _hub_revision(repo: str) -> str:
    """Return the hub's present commit of `repo`, asked once and with a short limit.

    The limit of a request is not enough: it counts for each address of the host anew, and not for finding them.
    """
    import huggingface_hub  # noqa: PLC0415 -- needed only for the hub
    from huggingface_hub import errors  # noqa: PLC0415

    answer: list[str | BaseException] = []

    def ask() -> None:
        try:
            answer.append(str(huggingface_hub.HfApi().dataset_info(repo, timeout=HUB_TIMEOUT_S).sha))
        except BaseException as error:  # noqa: BLE001 -- handed on below
            answer.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(HUB_ANSWER_S)
    revision = answer[0] if answer else TimeoutError(f"no answer in {HUB_ANSWER_S:g} s")
    if isinstance(revision, (errors.RepositoryNotFoundError, errors.GatedRepoError)):
        raise UsageError(f"The hub has no dataset {repo} for you: {first_line(revision)}.")
    if isinstance(revision, BaseException):
        raise _hub_unreachable(repo, revision)
    return revision


def _hub_unreachable(repo: str, error: BaseException) -> UsageError:
    return UsageError(
        f"The hub cannot be reached for dataset {repo} ({first_line(error)}). Two ways out: --dataset-dir DIR with a "
        "copy that is laid out like the hub, or --dataset-source sample for the bundled sample."
    )


def hub_rows(name: str, revision: str | None) -> tuple[list[Row], str]:
    """Return a dataset's rows at the hub's `revision`, or as they lie in the local cache when that is None, and it."""
    import datasets  # noqa: PLC0415 -- 0.6 s and 150 MB, needed only here

    hub = HUB_DATASETS[name]
    if Path(hub.repo).is_dir():
        raise UsageError(
            f"Dataset {name}: the folder {hub.repo} here would be read in place of the hub's dataset of that name; "
            "start in another folder, or say --dataset-dir . to use it."
        )
    datasets.disable_progress_bars()
    try:
        builder = datasets.load_dataset_builder(hub.repo, hub.config, revision=revision)
        if revision is not None and builder.hash != revision:
            # The library falls back to whatever older revision it has in its cache.
            raise LookupError(f"it does not give out the files of its own revision {revision}")
        builder.download_and_prepare()
        rows: list[Row] = list(builder.as_dataset(split=hub.split))
    except (_HubFailed, Exception) as error:  # noqa: BLE001 -- whatever it was, the hub's answer cannot be used
        if revision is None:
            wanted = f"{hub.repo} ({hub.config})" if hub.config else hub.repo
            raise UsageError(f"HF_HUB_OFFLINE is set, and the local cache holds no dataset {wanted}.") from None
        raise _hub_unreachable(hub.repo, error) from None
    return rows, str(builder.hash)


def first_line(error: BaseException) -> str:
    """Return what an error says in its first line, or its cause where it hides one."""
    cause = error.__cause__ or error
    text = str(cause).strip() or type(cause).__name__
    return text.splitlines()[0].rstrip(".")
