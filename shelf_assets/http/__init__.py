"""What every HTTP server shares: API keys, scopes, rate limits, problem answers, middleware, logs, metrics, health, server.

`app.build_app` puts an app together. Routes belong in the rooms that serve them. Imports no other room than `lake`.
"""
