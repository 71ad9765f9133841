"""A smaller image that does the same: what to leave out, the image, the proof, what both take.

``select`` says what stays (``unseen`` is the table of what no recorder sees), ``write`` makes the
image from an export of the original, ``answers`` and ``prove`` try it against the original,
``mend`` traces what fails to the files that it lacks, ``run`` does it all and cleans up, ``record``
and ``out`` tell.
"""
