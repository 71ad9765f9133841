"""What AWS answered a user's program, kept, and set beside what the emulator answers.

``proxy`` stands between the program and AWS and keeps ``pairs`` of request and answer; ``replay``
sends the requests again, and ``compare`` says in what the answers differ.
"""
