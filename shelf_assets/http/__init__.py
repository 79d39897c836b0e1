"""What every HTTP server of the project shares: API keys, rate limits, problem answers, middleware, metrics, the server itself.

Routes belong in the rooms that serve them. No Dagster and no torch.
"""
