"""The command line: `flambeau demo`, `flambeau predict MODEL IMAGE...`, `flambeau info`."""

from __future__ import annotations

import argparse
import pathlib
import sys


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1; got {value}")
    return value


def parser() -> argparse.ArgumentParser:
    """What the command line understands."""
    result = argparse.ArgumentParser(prog="flambeau", description="PyTorch's API in one small, fast package.")
    result.add_argument("--version", action="store_true", help="print the version and stop")
    commands = result.add_subparsers(dest="command", metavar="COMMAND")
    demo = commands.add_parser("demo", help="train a digit classifier, in under a minute")
    demo.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/demo"), help="folder for the results")
    demo.add_argument("--epochs", type=positive, default=None)
    demo.add_argument("--seed", type=int, default=0)
    demo.add_argument("--threads", type=positive, default=None)
    demo.add_argument("--workers", type=int, default=0, help="processes that prepare batches")
    predict = commands.add_parser("predict", help="say which digit an image shows")
    predict.add_argument("model", help="model.pt of the demo")
    predict.add_argument("images", nargs="+", metavar="image", help="image files of any size")
    commands.add_parser("info", help="show version, processor, kernels and threads")
    return result


def info() -> int:
    """Prints what this installation runs on."""
    import platform

    import flambeau
    from flambeau.version import __version__

    core = flambeau._C.info()
    rows = {
        "flambeau": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "processor": core["cpu"],
        "features": ", ".join(name for name, value in core.items() if value is True) or "none beyond the baseline",
        "instruction set": core["isa"],
        "BLAS": core["blas_core"] or "none found; products and LAPACK use what the core has",
        "threads": core["threads"],
    }
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:{width}}  {value}")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    command_line = parser()
    options = command_line.parse_args(arguments)
    if options.version:
        from flambeau.version import __version__

        print(f"flambeau {__version__}")
        return 0
    if options.command is None:
        command_line.print_help()
        return 2
    try:
        if options.command == "info":
            return info()
        if options.command == "predict":
            from flambeau.demo.predict import run_predict

            return run_predict(options.model, options.images)
        import flambeau
        from flambeau.demo import train

        if options.threads is not None:
            flambeau.set_num_threads(options.threads)
        return train.run_demo(options.out, options.epochs or train.EPOCHS, options.seed, options.workers)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"flambeau {options.command}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
