"""`python -m rnncli` is `rnncli`."""

from rnncli.cli.main import run

if __name__ == "__main__":
    run()
