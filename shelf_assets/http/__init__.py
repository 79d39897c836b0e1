"""One piece for every HTTP server of the project: API keys, scopes, rate limits, problem answers, middleware, metrics, server.

`app.build_app` puts an app together. Routes belong in the rooms that serve them. Imports no other room than `lake`.
"""
