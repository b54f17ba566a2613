"""`python -m services.cli`: the `roomline` command where it is not installed."""

from services.cli.main import main

if __name__ == "__main__":
    main()
