"""``report.html``: one file, no network, drawn by Jinja2 as HTML and SVG.

Every number on the page is looked up in ``summary.json`` by a JSON pointer that the page carries
along (``<data data-path=...>``), so a test can hold the page against the file.
"""
