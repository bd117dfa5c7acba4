"""`python -m dermaloop`: the same as the command `dermaloop`, for who knows the interpreter but not the path."""

from dermaloop.cli.app import main

if __name__ == "__main__":
    main()
