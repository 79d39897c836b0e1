"""Tests of the drawn products."""
