"""Rules: which rows a commit writes, given the incoming rows and the rows that the table already holds.

Each rule is a pure function from frames to a `Change`: no I/O, no clock. `delta` reads the table at one version, calls the
table's rule and commits the result only if no other commit was made in between; otherwise it calls the rule again. So a
rule may run at any time, and running it on rows that already exist changes nothing.

`registry` is the table of rules, `change` their result. A new rule is one module, its name in `schemas.Rule` and one entry
in `registry`.
"""
