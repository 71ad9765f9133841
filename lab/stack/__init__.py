"""The lab as a whole: what ``make up`` starts, seeds and shows."""
