"""`python -m embedpipe` is the command line."""

from embedpipe.cli import main

if __name__ == "__main__":
    main()
