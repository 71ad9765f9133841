"""The endpoint emulator's HTTP face: AWS's wire formats around ``lab.endpoint``."""
