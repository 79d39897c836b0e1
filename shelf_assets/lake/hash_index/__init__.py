"""On which days raw_images knows a hash: a derived index, so that a look-up does not read all days.

Read in this order: `entries` (what is indexed), `runs` (a sorted file of entries), `manifest` (which runs cover which data
files), `rows` (the rules' questions, answered with it), `build` (how it follows the table). The table alone is the truth:
without the index, or with a part of it, answers are the same and take longer.
"""
