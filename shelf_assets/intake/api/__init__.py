"""The door over HTTP: routes, what guards them, what they tell. What a photo is, and what rests of one, is in `intake` itself."""
