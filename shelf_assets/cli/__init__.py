"""The `shelf` command: one module for each group of verbs. Verbs parse, call a plain function, and print."""
