"""The command line, which alone mounts the commands of both service and training."""
