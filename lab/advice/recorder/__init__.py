"""What a start and the next requests read of an image.

``record`` starts it (``watched``) and asks it (``asking``); ``strace`` and ``calls`` say which
files were looked up, ``blocks`` how many bytes of each were fetched.
"""
