"""A writer of small XDF files."""

from small_xdf import write_xdf
