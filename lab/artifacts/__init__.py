"""Model archives and cards: built, checked and found."""
