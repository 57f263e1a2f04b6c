"""`python -m tillkeeper` is `till`."""

from tillkeeper.faces.cli.main import main

if __name__ == "__main__":
    main()
