"""Tell lm-eval of the model `aether_stub`, and let `locust --help` list the options of our locustfiles.

lm-eval up to 0.4.13 finds no models outside its own tree, and Locust prints its help before it reads a locustfile.
Every start of Python runs `install` (by the `.pth` file beside this one, from Python 3.15 on by the `.start` file), so
it imports nothing and only leaves a finder behind, which waits for them.
"""

import sys

NAME = "aether_stub"
TARGET = "aether_load.evaluation.aether_stub:AetherStub"


class _Finder:
    """Wait for modules, let the other finders find them, and call a function once each is loaded."""

    def __init__(self, watched):
        self._watched = watched

    def find_spec(self, name, path=None, target=None):
        """Return the spec of a module that is waited for, with a loader that calls its function; else None."""
        if name not in self._watched:
            return None
        then = self._watched.pop(name)
        if not self._watched:
            sys.meta_path.remove(self)
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None and finder is not self else None
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, then)
                return spec
        return None


class _Loader:
    """The module's own loader, and a function that is called after it."""

    def __init__(self, loader, then):
        self._loader = loader
        self._then = then

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def exec_module(self, module):
        """Run the module, then call the function."""
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._then()


def install():
    """Put the finder in place, once."""
    watched = {
        "lm_eval.evaluator": learn_headers, "lm_eval.models": register, "locust.argument_parser": show_options,
    }  # fmt: skip
    left = {name: then for name, then in watched.items() if name not in sys.modules}
    if left and not any(type(finder).__name__ == _Finder.__name__ for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(left))


def register():
    """Register the model by name, unless lm-eval reads entry points and so finds it by itself."""
    from lm_eval.api import registry

    if hasattr(registry, "load_plugins"):
        return
    known = registry.model_registry
    if NAME not in known:
        known.register(NAME, target=TARGET)


def learn_headers():
    """Keep the headers in the model's arguments out of the log: lm-eval logs these before it imports any model."""
    if any(NAME in word or word in {"--config", "-C"} for word in sys.argv):
        from aether_load.evaluation import command_line

        command_line.learn_headers(sys.argv[1:])


def show_options():
    """Have `locust -f FILE --help` read a locustfile that uses aether_load first, which adds its options."""
    from locust import argument_parser

    parse = argument_parser.parse_locustfile_option

    def parse_with_options(*arguments, **more):
        words = arguments[0] if arguments and arguments[0] is not None else sys.argv[1:]
        if "--help" in words or "-h" in words:
            _read(_locustfile(words))
        return parse(*arguments, **more)

    argument_parser.parse_locustfile_option = parse_with_options


def _locustfile(words):
    for word, value in zip(words, [*words[1:], ""], strict=True):
        if word in {"-f", "--locustfile"}:
            return value
        if word.startswith("--locustfile="):
            return word.partition("=")[2]
    return "locustfile.py"


def _read(path):
    """Load a locustfile of ours; of any other, and of one that cannot be loaded, Locust's own help is enough."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 -- pathlib is no import for every start of Python
            is_ours = b"aether_load" in file.read()
        if is_ours:
            from locust.util.load_locustfile import load_locustfile

            load_locustfile(path)
    except Exception:  # noqa: BLE001 -- help is shown whatever a locustfile does
        return
