"""Starting a container and seeing when, and why not, it is ready: shared by bench and emulator."""
