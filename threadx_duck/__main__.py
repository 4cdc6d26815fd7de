"""``python -m threadx_duck`` is the command ``threadx``."""

from threadx_duck.cli import main

if __name__ == "__main__":
    main()
