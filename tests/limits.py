"""The one limit of waiting inside a test: what hangs is ended, a slow machine fails nothing."""

WAIT_S = 900
