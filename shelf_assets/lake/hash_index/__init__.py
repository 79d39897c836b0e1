"""A derived index of the days on which raw_images has a hash, so that a look-up does not read all days.

Read in this order: `entries` (what is indexed), `runs` (a sorted file of entries), `manifest` (which runs cover which data
files), `rows` (look-ups for the rules), `build` (how it follows the table). The table is the only source of truth:
without the index, or with a part of it, answers are the same and take longer.
"""
