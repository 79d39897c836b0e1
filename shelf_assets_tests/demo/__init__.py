"""Tests of the drawn shelf."""
