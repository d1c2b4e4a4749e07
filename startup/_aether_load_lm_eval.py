"""Tells lm-eval of the model `aether_stub`, once lm-eval is imported; until then nothing is loaded.

lm-eval up to 0.4.13 finds no models outside its own tree. Every start of Python runs `install` (by the `.pth` file
beside this one, from Python 3.15 on by the `.start` file), so it imports nothing and only leaves a finder behind.
"""

import sys

NAME = "aether_stub"
TARGET = "aether_load.evaluation.aether_stub:AetherStub"
_WATCHED = "lm_eval.models"


class _Finder:
    """Waits for `lm_eval.models`, lets the other finders find it, and goes away."""

    def find_spec(self, name, path=None, target=None):
        """Return the spec of `lm_eval.models` with a loader that registers afterwards, None for all else."""
        if name != _WATCHED:
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None else None
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader)
                return spec
        return None


class _Loader:
    """The module's own loader, with a word behind it."""

    def __init__(self, loader):
        self._loader = loader

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def exec_module(self, module):
        """Run the module, then add our model's name to the registry."""
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        register()


def install():
    """Put the finder in place, once."""
    if not any(type(finder).__name__ == _Finder.__name__ for finder in sys.meta_path) and _WATCHED not in sys.modules:
        sys.meta_path.insert(0, _Finder())


def register():
    """Register the model by name, unless lm-eval reads entry points and so finds it by itself."""
    from lm_eval.api import registry

    if hasattr(registry, "load_plugins"):
        return
    known = registry.model_registry
    if NAME not in known:
        known.register(NAME, target=TARGET)
