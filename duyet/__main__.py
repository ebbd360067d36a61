"""`python -m duyet` is the command `duyet`."""

from duyet.cli import main

if __name__ == "__main__":
    main()
