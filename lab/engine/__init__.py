"""Container engines behind one interface: Docker, or plain processes where it is forbidden."""
