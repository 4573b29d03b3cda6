"""The operator's commands: `python3 ops/bootstrap.py COMMAND`, which `make COMMAND` calls."""
