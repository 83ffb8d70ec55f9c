"""`python -m pipeline.cli` is the command `cartograd`."""

from pipeline.cli.main import main

if __name__ == "__main__":
    main()
