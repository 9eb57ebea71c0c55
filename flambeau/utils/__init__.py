"""Tools around training: data loading."""


def __getattr__(name: str) -> object:
    if not name.startswith("_"):  # submodules load on first use
        import importlib

        try:
            return importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
