"""Short names for what is run often: `nox -s lint types test`. All of it runs in the environment that nox is in."""

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "test"]


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and import contracts."""
    session.run("ruff", "check", ".", external=True)
    session.run("ruff", "format", "--check", ".", external=True)
    session.run("lint-imports", external=True)


@nox.session
def types(session: nox.Session) -> None:
    """Check types."""
    session.run("mypy", external=True)


@nox.session
def test(session: nox.Session) -> None:
    """Run the tests that CI runs, or those that are named."""
    session.run("pytest", *session.posargs, external=True)


@nox.session
def slow(session: nox.Session) -> None:
    """Run the long tests."""
    session.run("pytest", "-m", "slow", *session.posargs, external=True)


@nox.session
def coverage(session: nox.Session) -> None:
    """Show which lines the tests that run in one process do not reach."""
    names = ("analysis", "contract", "evaluation", "gate", "observer", "protocol", "results", "rundata", "workload")
    folders = session.posargs or [f"tests/{name}" for name in names]
    session.run("pytest", "--cov", "aether_load", "--cov-report", "term:skip-covered", *folders, external=True)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site; a warning fails."""
    session.run(".ci/run", "docs", external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """Run every benchmark in short form, and write one table."""
    session.run("python", "benchmarks/all.py", "--quick", *session.posargs, external=True)


@nox.session
def package(session: nox.Session) -> None:
    """Build, check, install and run sdist and wheel."""
    session.run(".ci/run", "package", external=True)


@nox.session
def ci(session: nox.Session) -> None:
    """Run all that CI runs."""
    session.run(".ci/run", external=True)
