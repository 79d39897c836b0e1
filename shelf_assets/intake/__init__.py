"""The door: what is a photo that we take, and how it comes in. No Dagster and no torch; the graph begins behind it.

`rules` says what is refused and what people are told, `validator` asks the rules, `rebuild` makes the file that is kept,
`decoders` are the processes in which both happen, `receipts` is what rests of an upload; `keys` and `quotas` say who may
send how much. The doors themselves are `api` (HTTP), `serverless` (Lambda) and `shelf land`.
"""
