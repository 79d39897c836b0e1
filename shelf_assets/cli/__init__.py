"""The `shelf` command: one module for each group of verbs. A verb parses its options, calls a plain function, and prints."""
