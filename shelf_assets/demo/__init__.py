"""The demo: shipped or own photos through the whole graph, with a summary and a contact sheet."""
