"""From bytes to pixels: formats, headers, decoding, resizing, and the streaming engine. No models, no lake."""
