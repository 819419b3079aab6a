"""`python -m gateway.cli`: the same as `poort`, without an installed script."""

from gateway.cli import main

if __name__ == "__main__":
    main()
