"""`python -m longtail.cli`, for programs that start it without knowing where the command is installed."""

from longtail.cli.main import main

if __name__ == "__main__":
    main()
