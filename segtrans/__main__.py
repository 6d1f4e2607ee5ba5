"""`python -m segtrans` is the command line too."""

from segtrans.cli import main

main()
